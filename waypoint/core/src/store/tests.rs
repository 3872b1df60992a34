use super::*;
use crate::model::endpoint::{Endpoint, EndpointAddress, Health, LocalityGroup};
use crate::model::listener::ChainBody;
use prost::Message;
use xds_client::proto::envoy::envoy::config::cluster::v3 as cluster;
use xds_client::proto::envoy::envoy::config::core::v3 as core;
use xds_client::proto::envoy::envoy::config::endpoint::v3 as endpoint;
use xds_client::proto::envoy::envoy::config::listener::v3 as listener_pb;
use xds_client::proto::envoy::google::protobuf;

const NOW: Duration = Duration::ZERO;

fn apply(store: &mut Store, type_url: &str, resources: &[(&str, Vec<u8>)], removed: &[&str]) -> Applied {
    let resources = resources.iter().map(|(name, bytes)| Resource { name, bytes }).collect();
    let removed: Vec<String> = removed.iter().map(|name| (*name).to_owned()).collect();
    store.apply(&Update { type_url, resources, removed: &removed }, NOW)
}

fn cluster_of(name: &str, kind: cluster::cluster::DiscoveryType, connect_seconds: i64) -> Vec<u8> {
    cluster::Cluster {
        name: name.into(),
        cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(kind as i32)),
        connect_timeout: Some(protobuf::Duration { seconds: connect_seconds, nanos: 0 }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn eds(name: &str, connect_seconds: i64) -> Vec<u8> {
    cluster_of(name, cluster::cluster::DiscoveryType::Eds, connect_seconds)
}

fn endpoints(ips: &[&str]) -> Vec<u8> {
    let lb = ips.iter().map(|ip| {
        let socket = core::SocketAddress {
            address: (*ip).to_owned(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(80)),
            ..Default::default()
        };
        let address = core::Address { address: Some(core::address::Address::SocketAddress(socket)) };
        let endpoint = endpoint::Endpoint { address: Some(address), ..Default::default() };
        endpoint::LbEndpoint {
            host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint)),
            ..Default::default()
        }
    });
    let group = endpoint::LocalityLbEndpoints { lb_endpoints: lb.collect(), ..Default::default() };
    endpoint::ClusterLoadAssignment { endpoints: vec![group], ..Default::default() }.encode_to_vec()
}

fn host_count(store: &Store, name: &str) -> Option<usize> {
    store.snapshot().cluster(name).and_then(|entry| entry.hosts.as_ref().map(|hosts| hosts.hosts().len()))
}

#[test]
fn a_cluster_warms_until_its_endpoints_come() {
    let mut store = Store::new("");
    assert!(apply(&mut store, type_url::CLUSTER, &[("a", eds("a", 1))], &[]).changed);
    assert!(store.snapshot().cluster("a").unwrap().is_warming());
    assert_eq!(store.wanted_eds(), ["a".to_owned()].into());
    assert!(apply(&mut store, type_url::ENDPOINT, &[("a", endpoints(&["10.0.0.1"]))], &[]).changed);
    assert_eq!(host_count(&store, "a"), Some(1));
    // A replaced cluster keeps its endpoints until new ones come.
    assert!(apply(&mut store, type_url::CLUSTER, &[("a", eds("a", 2))], &[]).changed);
    assert_eq!(host_count(&store, "a"), Some(1));
    assert!(apply(&mut store, type_url::ENDPOINT, &[("a", endpoints(&[]))], &[]).changed);
    assert_eq!(host_count(&store, "a"), Some(0), "empty is not warming");
    assert!(apply(&mut store, type_url::CLUSTER, &[], &["a"]).changed);
    assert!(store.snapshot().cluster("a").is_none());
    // And a new one of that name does not inherit them.
    apply(&mut store, type_url::CLUSTER, &[("a", eds("a", 1))], &[]);
    assert!(store.snapshot().cluster("a").unwrap().is_warming());
}

#[test]
fn what_does_not_change_anything_is_no_new_snapshot() {
    let mut store = Store::new("");
    apply(&mut store, type_url::CLUSTER, &[("a", eds("a", 1))], &[]);
    apply(&mut store, type_url::ENDPOINT, &[("a", endpoints(&["10.0.0.1"]))], &[]);
    let before = store.snapshot();
    assert!(!apply(&mut store, type_url::CLUSTER, &[("a", eds("a", 1))], &["unknown"]).changed);
    assert!(!apply(&mut store, type_url::ENDPOINT, &[("a", endpoints(&["10.0.0.1"]))], &[]).changed);
    assert!(
        !apply(&mut store, type_url::ENDPOINT, &[("gone", endpoints(&[]))], &[]).changed,
        "no cluster uses it"
    );
    assert!(!apply(&mut store, type_url::WORKLOAD, &[], &["never/sent"]).changed);
    assert!(Arc::ptr_eq(&before, &store.snapshot()));
}

#[test]
fn runtime_state_outlives_its_cluster_s_versions() {
    let mut store = Store::new("");
    apply(&mut store, type_url::CLUSTER, &[("a", eds("a", 1))], &[]);
    apply(&mut store, type_url::ENDPOINT, &[("a", endpoints(&["10.0.0.1"]))], &[]);
    let host = store.snapshot().cluster("a").unwrap().hosts.as_ref().unwrap().hosts()[0].clone();
    let _active = host.begin();
    apply(&mut store, type_url::CLUSTER, &[("a", eds("a", 2))], &[]);
    apply(&mut store, type_url::ENDPOINT, &[("a", endpoints(&["10.0.0.2", "10.0.0.1"]))], &[]);
    let snapshot = store.snapshot();
    let active: u32 =
        snapshot.cluster("a").unwrap().hosts.as_ref().unwrap().hosts().iter().map(|host| host.active()).sum();
    assert_eq!(active, 1);
}

#[test]
fn good_resources_of_a_bad_response_are_applied() {
    let mut store = Store::new("");
    apply(&mut store, type_url::CLUSTER, &[("bad", eds("bad", 1))], &[]);
    let applied =
        apply(&mut store, type_url::CLUSTER, &[("bad", eds("bad", -1)), ("good", eds("good", 1))], &[]);
    assert!(applied.changed);
    assert_eq!(applied.rejections.len(), 1);
    assert_eq!(
        (applied.rejections[0].name.as_str(), applied.rejections[0].path.as_str()),
        ("bad", "connect_timeout")
    );
    let snapshot = store.snapshot();
    assert!(snapshot.cluster("good").is_some());
    assert_eq!(
        snapshot.cluster("bad").unwrap().cluster.connect_timeout,
        Duration::from_secs(1),
        "the last good version"
    );
}

#[test]
fn one_bad_cluster_keeps_nobody_unready() {
    let listener =
        listener_pb::Listener { name: "main_internal".into(), ..Default::default() }.encode_to_vec();
    for (clusters, ready) in
        [(vec![("bad", vec![0xff]), ("good", eds("good", 1))], true), (vec![("bad", vec![0xff])], false)]
    {
        let mut store = Store::new("");
        apply(&mut store, type_url::CLUSTER, &clusters, &[]);
        apply(&mut store, type_url::LISTENER, &[("main_internal", listener.clone())], &[]);
        assert_eq!(store.ready(), ready);
    }
}

#[test]
fn ready_once_clusters_and_listeners_were_accepted() {
    let mut store = Store::new("");
    apply(&mut store, type_url::CLUSTER, &[], &[]);
    assert!(!store.ready());
    apply(&mut store, type_url::LISTENER, &[("main_internal", vec![0xff])], &[]);
    assert!(!store.ready(), "nothing was accepted");
    let empty = listener_pb::Listener { name: "main_internal".into(), ..Default::default() }.encode_to_vec();
    apply(&mut store, type_url::LISTENER, &[("main_internal", empty)], &[]);
    assert!(store.ready());
}

#[test]
fn names_are_resolved_by_the_io() {
    let mut store = Store::new("");
    apply(
        &mut store,
        type_url::CLUSTER,
        &[("dns", cluster_of("dns", cluster::cluster::DiscoveryType::StrictDns, 1))],
        &[],
    );
    assert!(store.snapshot().cluster("dns").unwrap().is_warming());
    assert_eq!(store.wanted_dns().len(), 1);
    let address = EndpointAddress::Direct { address: "192.0.2.1:80".parse().unwrap(), additional: vec![] };
    let endpoint = Endpoint {
        address,
        hostname: None,
        health: Health::Healthy,
        weight: 1,
        workload: None,
        transport_match: vec![],
    };
    let group = LocalityGroup {
        priority: 0,
        locality: Arc::default(),
        weight: 0,
        endpoints: vec![Arc::new(endpoint)],
    };
    let assignment = Assignment { groups: vec![group] };
    assert!(store.resolved("dns", assignment.clone(), NOW));
    assert!(!store.resolved("dns", assignment.clone(), NOW), "the same again changes nothing");
    assert!(!store.resolved("unknown", assignment, NOW));
    assert_eq!(host_count(&store, "dns"), Some(1));
}

#[test]
fn secrets_are_kept_while_they_are_asked_for() {
    use xds_client::proto::envoy::envoy::extensions::transport_sockets::tls::v3 as tls;
    let secret = tls::Secret {
        name: "kubernetes://ca".into(),
        r#type: Some(tls::secret::Type::ValidationContext(Default::default())),
    };
    let secret = [("kubernetes://ca", secret.encode_to_vec())];
    let mut store = Store::new("");
    apply(&mut store, type_url::SECRET, &secret, &[]);
    assert!(store.snapshot().secrets.is_empty(), "no cluster wants it");
    let name = tls::SdsSecretConfig { name: "kubernetes://ca".into(), sds_config: None };
    let kind = tls::common_tls_context::ValidationContextType::ValidationContextSdsSecretConfig(name);
    let common = tls::CommonTlsContext { validation_context_type: Some(kind), ..Default::default() };
    let context = tls::UpstreamTlsContext { common_tls_context: Some(common), ..Default::default() };
    let any = protobuf::Any {
        type_url: "t/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext".into(),
        value: context.encode_to_vec(),
    };
    let socket = core::TransportSocket {
        name: "tls".into(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(any)),
    };
    let cluster = cluster::Cluster {
        name: "a".into(),
        transport_socket: Some(socket),
        cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(
            cluster::cluster::DiscoveryType::Eds as i32,
        )),
        ..Default::default()
    };
    apply(&mut store, type_url::CLUSTER, &[("a", cluster.encode_to_vec())], &[]);
    assert_eq!(store.wanted_sds(), ["kubernetes://ca".to_owned()].into());
    assert!(apply(&mut store, type_url::SECRET, &secret, &[]).changed);
    assert!(store.snapshot().secrets.contains_key("kubernetes://ca"));
    assert!(!apply(&mut store, type_url::SECRET, &secret, &[]).changed, "the same again changes nothing");
}

#[test]
fn listeners_wait_for_their_extensions() {
    let discovery = listener_pb::filter::ConfigType::ConfigDiscovery(Default::default());
    let filter = listener_pb::Filter { name: "wasm".into(), config_type: Some(discovery) };
    let end = protobuf::Any { type_url: "t/none".into(), value: vec![] };
    let end = listener_pb::Filter {
        name: "end".into(),
        config_type: Some(listener_pb::filter::ConfigType::TypedConfig(end)),
    };
    let chain =
        listener_pb::FilterChain { name: "c".into(), filters: vec![filter, end], ..Default::default() };
    let listener = listener_pb::Listener { filter_chains: vec![chain], ..Default::default() }.encode_to_vec();
    let mut store = Store::new("");
    apply(&mut store, type_url::LISTENER, &[("main_internal", listener)], &[]);
    assert_eq!(store.wanted_ecds(), ["wasm".to_owned()].into());
    let details = |store: &Store| match &store.snapshot().chain_named("c").unwrap().body {
        ChainBody::Refused(refusal) => refusal.details.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(details(&store), "unsupported_filter{wasm}");
    use xds_client::proto::envoy::envoy::extensions::wasm::v3::{FailurePolicy, PluginConfig};
    let open = PluginConfig { failure_policy: FailurePolicy::FailOpen as i32, ..Default::default() };
    let wasm =
        xds_client::proto::envoy::envoy::extensions::filters::network::wasm::v3::Wasm { config: Some(open) };
    let any = protobuf::Any {
        type_url: "t/envoy.extensions.filters.network.wasm.v3.Wasm".into(),
        value: wasm.encode_to_vec(),
    };
    let resource =
        core::TypedExtensionConfig { name: "wasm".into(), typed_config: Some(any) }.encode_to_vec();
    assert!(apply(&mut store, type_url::EXTENSION_CONFIG, &[("wasm", resource)], &[]).changed);
    assert_eq!(details(&store), "unsupported_filter{end}", "skipped now, and the next filter is looked at");
}

fn workload(uid: &str, ip: [u8; 4], network: &str, host_network: bool) -> Vec<u8> {
    use xds_client::proto::workload as pb;
    let mode = if host_network { pb::NetworkMode::HostNetwork } else { pb::NetworkMode::Standard };
    pb::Workload {
        uid: uid.into(),
        addresses: vec![ip.to_vec().into()],
        network: network.into(),
        network_mode: mode as i32,
        ..Default::default()
    }
    .encode_to_vec()
}

#[test]
fn workloads_are_found_by_address() {
    let mut store = Store::new("here");
    let ip = [10, 0, 0, 1];
    let resources = [
        ("far", workload("far", ip, "there", false)),
        ("near", workload("near", ip, "here", false)),
        ("also-far", workload("also-far", ip, "there", false)),
        ("node", workload("node", [10, 0, 0, 9], "here", true)),
    ];
    apply(&mut store, type_url::WORKLOAD, &resources, &[]);
    let snapshot = store.snapshot();
    assert_eq!(&*snapshot.workload("10.0.0.1".parse().unwrap()).unwrap().uid, "near", "our network's");
    assert!(snapshot.workload("::ffff:10.0.0.1".parse().unwrap()).is_some());
    assert!(snapshot.workload("10.0.0.9".parse().unwrap()).is_none(), "a node's address is many pods'");
    assert!(snapshot.workloads.by_uid("node").is_some());
    assert!(apply(&mut store, type_url::WORKLOAD, &[], &["near"]).changed);
    assert_eq!(&*store.snapshot().workload("10.0.0.1".parse().unwrap()).unwrap().network, "there");
}
