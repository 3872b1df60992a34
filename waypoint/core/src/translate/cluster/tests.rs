use super::protocol::PROTOCOL_OPTIONS;
use super::*;
use crate::model::cluster::{Http2Keepalive, Transport, UpstreamProtocol};
use crate::model::dns::DnsFamily;
use crate::model::matcher::StringPattern;
use crate::model::tls::{Credential, PeerNames, Roots, Sni, TlsVersions};
use crate::translate::pb::upstream_http;
use crate::translate::pb::{self as protos, internal_upstream, protobuf, tls};
use crate::translate::tests::{pack, seconds};
use pb::cluster::{self as inner, ClusterDiscoveryType, DiscoveryType, LbPolicy};
use prost::Message;

fn eds() -> pb::Cluster {
    pb::Cluster {
        name: "c".into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds as i32)),
        ..Default::default()
    }
}

fn number(value: u32) -> Option<protobuf::UInt32Value> {
    Some(protobuf::UInt32Value { value })
}

fn translated(cluster: &pb::Cluster) -> Cluster {
    translate(&cluster.name, &cluster.encode_to_vec()).unwrap().value.unwrap()
}

fn refusal(cluster: &pb::Cluster) -> String {
    translated(cluster).refusal.map_or_else(String::new, |refusal| refusal.details.to_string())
}

fn with_options(options: &upstream_http::HttpProtocolOptions) -> pb::Cluster {
    pb::Cluster {
        typed_extension_protocol_options: [(PROTOCOL_OPTIONS.to_owned(), pack(options))].into(),
        ..eds()
    }
}

#[test]
fn logs_call_it_by_the_alternative_name() {
    for (alternative, expect) in [("", "c"), ("c;", "c;")] {
        let cluster = translated(&pb::Cluster { alt_stat_name: alternative.into(), ..eds() });
        assert_eq!((&*cluster.name, &*cluster.observable_name), ("c", expect));
    }
}

#[test]
fn defaults_are_envoys() {
    let cluster = translated(&eds());
    assert_eq!(cluster.connect_timeout, Duration::from_secs(5));
    assert_eq!(cluster.breakers, CircuitBreakers::default());
    assert_eq!(cluster.balancing.policy, BalancePolicy::RoundRobin { slow_start: None });
    assert_eq!(
        (cluster.balancing.panic_threshold_percent, cluster.balancing.overprovisioning_factor),
        (50.0, 140)
    );
    assert!(matches!(&cluster.discovery, Discovery::Eds { service_name } if &**service_name == "c"));
    assert!(matches!(cluster.transport, Transport::ByEndpoint));
    assert_eq!((cluster.protocol, cluster.outlier, cluster.refusal), (UpstreamProtocol::Http1, None, None));
}

#[test]
fn protocols() {
    use upstream_http::http_protocol_options::{
        AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions as Kind, UseDownstreamHttpConfig,
        explicit_http_config::ProtocolConfig,
    };
    let explicit = |config| Kind::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(config) });
    let cases = [
        (explicit(ProtocolConfig::HttpProtocolOptions(Default::default())), UpstreamProtocol::Http1, ""),
        (explicit(ProtocolConfig::Http2ProtocolOptions(Default::default())), UpstreamProtocol::Http2, ""),
        (
            Kind::UseDownstreamProtocolConfig(UseDownstreamHttpConfig::default()),
            UpstreamProtocol::Downstream,
            "",
        ),
        (
            explicit(ProtocolConfig::Http3ProtocolOptions(Default::default())),
            UpstreamProtocol::Http1,
            "unsupported_protocol{http3}",
        ),
        (
            Kind::AutoConfig(AutoHttpConfig::default()),
            UpstreamProtocol::Http1,
            "unsupported_protocol{auto_config}",
        ),
    ];
    for (kind, protocol, expect) in cases {
        let cluster = with_options(&upstream_http::HttpProtocolOptions {
            upstream_protocol_options: Some(kind),
            ..Default::default()
        });
        assert_eq!((translated(&cluster).protocol, refusal(&cluster).as_str()), (protocol, expect));
    }
}

#[test]
fn pools() {
    let common = core::HttpProtocolOptions {
        idle_timeout: seconds(30),
        max_requests_per_connection: number(2),
        ..Default::default()
    };
    let options = upstream_http::HttpProtocolOptions {
        common_http_protocol_options: Some(common),
        ..Default::default()
    };
    let pool = translated(&with_options(&options)).pool;
    assert_eq!(
        (pool.idle_timeout, pool.max_requests_per_connection),
        (Some(Duration::from_secs(30)), Some(2))
    );
}

#[test]
fn connections_end_and_streams_are_counted() {
    use upstream_http::http_protocol_options::{
        ExplicitHttpConfig, UpstreamProtocolOptions as Kind, explicit_http_config::ProtocolConfig,
    };
    let keepalive =
        core::KeepaliveSettings { interval: seconds(7), timeout: seconds(3), ..Default::default() };
    let http2 = core::Http2ProtocolOptions {
        max_concurrent_streams: number(5),
        connection_keepalive: Some(keepalive),
        ..Default::default()
    };
    let config = Some(ProtocolConfig::Http2ProtocolOptions(http2));
    let common = core::HttpProtocolOptions { max_connection_duration: seconds(600), ..Default::default() };
    let pool = translated(&with_options(&upstream_http::HttpProtocolOptions {
        common_http_protocol_options: Some(common),
        upstream_protocol_options: Some(Kind::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: config,
        })),
        ..Default::default()
    }))
    .pool;
    assert_eq!(pool.max_connection_duration, Some(Duration::from_secs(600)));
    assert_eq!(pool.http2.max_concurrent_streams, Some(5));
    let keepalive = Http2Keepalive { interval: Duration::from_secs(7), timeout: Duration::from_secs(3) };
    assert_eq!(pool.http2.keepalive, Some(keepalive));
}

#[test]
fn names_by_the_request_s_host() {
    let options = upstream_http::HttpProtocolOptions {
        upstream_http_protocol_options: Some(core::UpstreamHttpProtocolOptions {
            auto_sni: true,
            auto_san_validation: true,
            ..Default::default()
        }),
        ..Default::default()
    };
    let cluster = pb::Cluster {
        transport_socket: Some(tls_socket(Some("file-root:system"), "san")),
        ..with_options(&options)
    };
    let Transport::Tls(tls) = translated(&cluster).transport else { panic!() };
    assert_eq!((&tls.sni, tls.parameters.versions), (&Sni::Host, TlsVersions::Tls12AndTls13));
    assert!(matches!(tls.names, PeerNames::Host), "{tls:?}");
}

#[test]
fn proxy_protocol_around_tls() {
    use protos::proxy_protocol::ProxyProtocolUpstreamTransport;
    let of = |config: core::ProxyProtocolConfig| {
        let outer = ProxyProtocolUpstreamTransport {
            config: Some(config),
            transport_socket: Some(tls_socket(Some("file-root:system"), "san")),
            ..Default::default()
        };
        let any = core::transport_socket::ConfigType::TypedConfig(pack(&outer));
        let socket = core::TransportSocket { name: "proxy".into(), config_type: Some(any) };
        pb::Cluster { transport_socket: Some(socket), ..eds() }
    };
    let cluster = translated(&of(core::ProxyProtocolConfig { version: 1, ..Default::default() }));
    assert_eq!(cluster.proxy_protocol, Some(crate::model::cluster::ProxyProtocol::V2));
    assert!(matches!(cluster.transport, Transport::Tls(_)));
    let tlvs = core::ProxyProtocolConfig { added_tlvs: vec![Default::default()], ..Default::default() };
    assert_eq!(refusal(&of(tlvs)), "unsupported_field{ProxyProtocolConfig#3}");
}

#[test]
fn names_to_resolve() {
    let cluster = pb::Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::StrictDns as i32)),
        dns_lookup_family: inner::DnsLookupFamily::V4Only as i32,
        dns_refresh_rate: seconds(60),
        respect_dns_ttl: true,
        ..eds()
    };
    let Discovery::StrictDns(dns) = translated(&cluster).discovery else { panic!() };
    let minute = Duration::from_secs(60);
    assert_eq!((dns.settings.family, dns.settings.respect_ttl), (DnsFamily::V4Only, true));
    assert_eq!((dns.settings.refresh, dns.settings.failure_refresh), (minute, minute));
    let cache = protos::dfp::DnsCacheConfig {
        dns_lookup_family: inner::DnsLookupFamily::All as i32,
        ..Default::default()
    };
    let kind = protos::dfp_cluster::cluster_config::ClusterImplementationSpecifier::DnsCacheConfig(cache);
    let config = protos::dfp_cluster::ClusterConfig {
        cluster_implementation_specifier: Some(kind),
        ..Default::default()
    };
    let dynamic = |config: &protos::dfp_cluster::ClusterConfig| pb::Cluster {
        cluster_discovery_type: Some(ClusterDiscoveryType::ClusterType(inner::CustomClusterType {
            name: "envoy.clusters.dynamic_forward_proxy".into(),
            typed_config: Some(pack(config)),
        })),
        lb_policy: LbPolicy::ClusterProvided as i32,
        ..eds()
    };
    let Discovery::DynamicForwardProxy(settings) = translated(&dynamic(&config)).discovery else { panic!() };
    assert_eq!((settings.family, settings.refresh), (DnsFamily::All, minute));
    let coalesced = protos::dfp_cluster::ClusterConfig { allow_coalesced_connections: true, ..config };
    assert_eq!(refusal(&dynamic(&coalesced)), "unsupported_field{ClusterConfig#3}");
}

#[test]
fn balancers() {
    let with = |policy: LbPolicy, config: Option<inner::LbConfig>| pb::Cluster {
        lb_policy: policy as i32,
        lb_config: config,
        ..eds()
    };
    let ring = |hash_function: i32, minimum: u64| {
        let minimum_ring_size = Some(protobuf::UInt64Value { value: minimum });
        Some(inner::LbConfig::RingHashLbConfig(inner::RingHashLbConfig {
            hash_function,
            minimum_ring_size,
            ..Default::default()
        }))
    };
    let least = BalancePolicy::LeastRequest { choices: 2, slow_start: None };
    assert_eq!(translated(&with(LbPolicy::LeastRequest, None)).balancing.policy, least);
    let ringed = BalancePolicy::RingHash { minimum_size: 512, maximum_size: 8 << 20 };
    assert_eq!(translated(&with(LbPolicy::RingHash, ring(0, 512))).balancing.policy, ringed);
    assert_eq!(refusal(&with(LbPolicy::RingHash, ring(1, 512))), "unsupported_balancer{hash_function}");
    assert_eq!(
        refusal(&with(LbPolicy::LoadBalancingPolicyConfig, None)),
        "unsupported_balancer{LOAD_BALANCING_POLICY_CONFIG}"
    );
    let too_large = with(LbPolicy::RingHash, ring(0, u64::MAX));
    let rejection = translate("c", &too_large.encode_to_vec()).unwrap_err();
    assert_eq!(rejection.path, "lb_policy");
}

#[test]
fn outliers() {
    let outlier = |outlier: pb::OutlierDetection| pb::Cluster { outlier_detection: Some(outlier), ..eds() };
    let istio = pb::OutlierDetection {
        consecutive_5xx: number(2),
        consecutive_gateway_failure: number(3),
        enforcing_consecutive_5xx: number(100),
        enforcing_consecutive_gateway_failure: number(100),
        enforcing_success_rate: number(0),
        max_ejection_percent: number(100),
        base_ejection_time: seconds(15),
        interval: seconds(5),
        ..Default::default()
    };
    let got = translated(&outlier(istio)).outlier.unwrap();
    assert_eq!(
        (got.consecutive_5xx, got.consecutive_gateway_failure, got.consecutive_local_origin_failure),
        (Some(2), Some(3), None)
    );
    assert_eq!((got.max_ejection_percent, got.max_ejection_time), (100, Duration::from_secs(300)));
    let off = pb::OutlierDetection { enforcing_consecutive_5xx: number(0), ..Default::default() };
    assert_eq!(translated(&outlier(off)).outlier.unwrap().consecutive_5xx, None);
    let rate = pb::OutlierDetection { enforcing_success_rate: number(100), ..Default::default() };
    assert_eq!(refusal(&outlier(rate)), "unsupported_outlier{success_rate}");
}

fn tls_socket(name: Option<&str>, exact: &str) -> core::TransportSocket {
    let matcher = protos::matcher::StringMatcher {
        match_pattern: Some(protos::matcher::string_matcher::MatchPattern::Exact(exact.into())),
        ignore_case: false,
    };
    let validation =
        tls::CertificateValidationContext { match_subject_alt_names: vec![matcher], ..Default::default() };
    let combined = tls::common_tls_context::CombinedCertificateValidationContext {
        default_validation_context: Some(validation),
        validation_context_sds_secret_config: name
            .map(|name| tls::SdsSecretConfig { name: name.into(), sds_config: None }),
        ..Default::default()
    };
    let kind = tls::common_tls_context::ValidationContextType::CombinedValidationContext(combined);
    let common = tls::CommonTlsContext { validation_context_type: Some(kind), ..Default::default() };
    let context =
        tls::UpstreamTlsContext { common_tls_context: Some(common), sni: "sni".into(), ..Default::default() };
    let inner = core::transport_socket::ConfigType::TypedConfig(pack(&context));
    let inner =
        core::TransportSocket { name: "envoy.transport_sockets.tls".into(), config_type: Some(inner) };
    let outer =
        internal_upstream::InternalUpstreamTransport { transport_socket: Some(inner), ..Default::default() };
    let outer = core::transport_socket::ConfigType::TypedConfig(pack(&outer));
    core::TransportSocket { name: "internal_upstream".into(), config_type: Some(outer) }
}

#[test]
fn tls_origination() {
    let of = |name: Option<&str>| {
        let cluster = translated(&pb::Cluster { transport_socket: Some(tls_socket(name, "san")), ..eds() });
        let Transport::Tls(tls) = cluster.transport else { panic!("{cluster:?}") };
        tls
    };
    let system = of(Some("file-root:system"));
    assert_eq!((&system.roots, &system.sni), (&Roots::System, &Sni::Fixed("sni".into())));
    let PeerNames::Matching(names) = &system.names else { panic!("{system:?}") };
    assert!(matches!(&names[0].matcher.pattern, StringPattern::Exact(name) if &**name == "san"));
    let sds = Credential::Sds("kubernetes://ca".into());
    assert_eq!(of(Some("kubernetes://ca")).roots, Roots::Named(sds));
    let file = Credential::RootFile("/etc/certs/ca.pem".into());
    assert_eq!(of(Some("file-root:/etc/certs/ca.pem")).roots, Roots::Named(file));
    for (name, expect) in [
        (None, "unsupported_transport_socket{subject_alt_names_without_roots}"),
        (Some("default"), "unsupported_secret{default}"),
        (Some("invalid://x"), "unsupported_secret{invalid://x}"),
    ] {
        let cluster = pb::Cluster { transport_socket: Some(tls_socket(name, "san")), ..eds() };
        assert_eq!(refusal(&cluster), expect);
    }
    let unknown = core::transport_socket::ConfigType::TypedConfig(pack(&core::Node::default()));
    let socket = core::TransportSocket { name: "odd".into(), config_type: Some(unknown) };
    assert_eq!(
        refusal(&pb::Cluster { transport_socket: Some(socket), ..eds() }),
        "unsupported_transport_socket{odd}"
    );
}

#[test]
fn what_cannot_be_honoured_refuses_the_cluster() {
    let cases = [
        (pb::Cluster { health_checks: vec![Default::default()], ..eds() }, "unsupported_field{Cluster#8}"),
        (
            pb::Cluster { load_balancing_policy: Some(Default::default()), ..eds() },
            "unsupported_field{Cluster#41}",
        ),
        (
            pb::Cluster { filters: vec![pb::Filter { name: "f".into(), ..Default::default() }], ..eds() },
            "unsupported_filter{f}",
        ),
        (
            pb::Cluster {
                cluster_discovery_type: Some(ClusterDiscoveryType::ClusterType(inner::CustomClusterType {
                    name: "envoy.clusters.aggregate".into(),
                    typed_config: None,
                })),
                ..eds()
            },
            "unsupported_cluster{envoy.clusters.aggregate}",
        ),
    ];
    for (cluster, expect) in cases {
        assert_eq!(refusal(&cluster), expect);
    }
}

#[test]
fn rejections_and_internal_hops() {
    let negative = pb::Cluster { connect_timeout: seconds(-1), ..eds() };
    let rejection = translate("c", &negative.encode_to_vec()).unwrap_err();
    assert_eq!(
        (rejection.path.as_str(), rejection.reason.as_str()),
        ("connect_timeout", "negative duration")
    );
    assert_eq!(translate("c", &[0xff]).unwrap_err().type_url, CLUSTER);
    for name in INTERNAL {
        let cluster = pb::Cluster {
            name: (*name).into(),
            health_checks: vec![Default::default()],
            ..Default::default()
        };
        assert!(translate(name, &cluster.encode_to_vec()).unwrap().value.is_none(), "{name}");
    }
}
