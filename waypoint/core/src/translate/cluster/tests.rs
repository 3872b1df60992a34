use super::*;
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
    assert_eq!((system.ca.as_deref(), system.insecure_skip_verify), (None, false));
    assert_eq!(
        (system.sni.as_deref(), system.subject_alt_names.as_slice()),
        (Some("sni"), ["san".into()].as_slice())
    );
    let named = of(Some("kubernetes://ca"));
    assert_eq!((named.ca.as_deref(), named.insecure_skip_verify), (Some("kubernetes://ca"), false));
    assert!(of(None).insecure_skip_verify);
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
