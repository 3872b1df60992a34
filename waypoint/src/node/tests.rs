use super::*;
use crate::args::ProxyArgs;
use crate::config::tests::{read, variables};
use std::path::PathBuf;

fn metadata_with(extra: &[(&str, &str)]) -> Map<String, Json> {
    let mut config = read(&variables(), &ProxyArgs::default()).unwrap();
    config.pod.labels = vec![("app".into(), "waypoint".into()), ("pod-template-hash".into(), "5d9".into())];
    let all = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    metadata(&config, &Env { lookup: &|_| None, all, root: PathBuf::from("/") })
}

#[test]
fn the_id_has_four_parts() {
    let config = read(&variables(), &ProxyArgs::default()).unwrap();
    assert_eq!(id(&config), "waypoint~10.244.9.1~waypoint-5d9.shop~shop.svc.cluster.local");
}

#[test]
fn metadata_is_what_istiod_needs() {
    let metadata =
        metadata_with(&[("ISTIO_META_NETWORK", "east"), ("ISTIO_META_MESH_ID", ""), ("HOME", "/")]);
    for (name, expect) in [
        ("NAMESPACE", "shop"),
        ("SERVICE_ACCOUNT", "waypoint"),
        ("CLUSTER_ID", "east"),
        ("INSTANCE_IPS", "10.244.9.1"),
        ("NETWORK", "east"),
        ("ISTIO_VERSION", mesh::version::ISTIO),
    ] {
        assert_eq!(metadata[name], expect, "{name}");
    }
    assert_eq!(metadata["LABELS"], serde_json::json!({"app": "waypoint"}));
    assert_eq!(metadata["PROXY_CONFIG"]["terminationDrainDuration"], "12s");
    assert!(!metadata.contains_key("MESH_ID") && !metadata.contains_key("HOME"));
}

#[test]
fn what_we_know_wins_over_the_pass_through() {
    let metadata = metadata_with(&[
        ("ISTIO_META_NAMESPACE", "forged"),
        ("ISTIO_META_ISTIO_VERSION", "1.31.2"),
        ("ISTIO_METAJSON_X", r#"{"A": {"b": [1, true, null]}}"#),
    ]);
    assert_eq!(metadata["NAMESPACE"], "shop");
    assert_eq!(metadata["ISTIO_VERSION"], "1.31.2");
    assert_eq!(metadata["A"], serde_json::json!({"b": [1, true, null]}));
}
