use super::*;
use crate::translate::ecds::Extensions;
use crate::translate::pb::{
    TypedStruct, filter_state, http_filter_state, mongo_proxy, network_filter_state, network_rbac, protobuf,
};
use crate::translate::tests::{outcome, pack, seconds};
use std::time::Duration;

fn filter<M: prost::Message + prost::Name>(name: &str, config: &M) -> pb_listener::Filter {
    let config_type = Some(pb_listener::filter::ConfigType::TypedConfig(pack(config)));
    pb_listener::Filter { name: name.into(), config_type }
}

fn proxy() -> tcp_proxy::TcpProxy {
    tcp_proxy::TcpProxy {
        stat_prefix: "s".into(),
        cluster_specifier: Some(tcp_proxy::tcp_proxy::ClusterSpecifier::Cluster("c".into())),
        ..Default::default()
    }
}

fn translated(filters: Vec<pb_listener::Filter>) -> Result<ChainBody> {
    body(filters, &mut Asked::new(&Extensions::default()), &mut Warnings::default())
}

fn tcp_of(filters: Vec<pb_listener::Filter>) -> Arc<TcpChain> {
    match translated(filters).unwrap() {
        ChainBody::Tcp(tcp) => tcp,
        other => panic!("{other:?}"),
    }
}

#[test]
fn timeouts() {
    let chain = tcp_of(vec![filter("tcp", &proxy())]);
    assert_eq!((chain.idle_timeout, chain.max_connection_duration), (Some(Duration::from_secs(3600)), None));
    let set = tcp_proxy::TcpProxy {
        idle_timeout: seconds(0),
        max_downstream_connection_duration: seconds(600),
        ..proxy()
    };
    let chain = tcp_of(vec![filter("tcp", &set)]);
    assert_eq!((chain.idle_timeout, chain.max_connection_duration), (None, Some(Duration::from_secs(600))));
}

#[test]
fn leading_filters_add_up() {
    let typed =
        TypedStruct { type_url: "t/envoy.tcp.metadataexchange.config.MetadataExchange".into(), value: None };
    let chain = tcp_of(vec![
        filter("istio.metadata_exchange", &typed),
        filter("rbac", &network_rbac::Rbac { stat_prefix: "tcp.".into(), ..Default::default() }),
        filter("rbac", &network_rbac::Rbac::default()),
        filter("mongo", &mongo_proxy::MongoProxy { stat_prefix: "m".into(), ..Default::default() }),
        filter("tcp", &proxy()),
    ]);
    assert_eq!(chain.filters.len(), 2);
    assert!(chain.stats.is_none(), "no istio.stats, no metrics");
}

#[test]
fn weights() {
    let weighted = |weights: &[u32]| {
        let clusters = weights.iter().map(|weight| tcp_proxy::tcp_proxy::weighted_cluster::ClusterWeight {
            name: format!("c{weight}"),
            weight: *weight,
            metadata_match: None,
        });
        let weighted = tcp_proxy::tcp_proxy::WeightedCluster { clusters: clusters.collect() };
        let specifier = Some(tcp_proxy::tcp_proxy::ClusterSpecifier::WeightedClusters(weighted));
        vec![filter("tcp", &tcp_proxy::TcpProxy { cluster_specifier: specifier, ..proxy() })]
    };
    assert!(matches!(&tcp_of(weighted(&[70, 30])).clusters, TcpClusters::Weighted { total: 100, .. }));
    let expect = "invalid filters[0].weighted_clusters: the weights sum to zero, or to too much";
    assert_eq!(outcome(translated(weighted(&[0]))), expect);
}

#[test]
fn what_cannot_be_honoured() {
    let state = |key: &str| network_filter_state::Config {
        on_new_connection: vec![filter_state::FilterStateValue {
            key: Some(filter_state::filter_state_value::Key::ObjectKey(key.into())),
            ..Default::default()
        }],
        ..Default::default()
    };
    let tcp = || filter("tcp", &proxy());
    let tunneling = tcp_proxy::TcpProxy { tunneling_config: Some(Default::default()), ..proxy() };
    let cases = [
        (vec![filter("authority", &state("envoy.filters.listener.original_dst.local_ip")), tcp()], "ok"),
        (vec![filter("other", &state("some.state")), tcp()], "unsupported unsupported_filter{other}"),
        (
            vec![filter("ext_authz", &http_filter_state::Config::default()), tcp()],
            "unsupported unsupported_filter{ext_authz}",
        ),
        (vec![filter("tunnel", &tunneling)], "unsupported unsupported_field{TcpProxy#12}"),
        (vec![filter("redis", &protobuf::Duration::default())], "unsupported unsupported_filter{redis}"),
        (Vec::new(), "invalid : filter chain without a terminal filter"),
    ];
    for (filters, expect) in cases {
        assert_eq!(outcome(translated(filters)), expect);
    }
}
