use crate::config::{Config, ConfigError};
use std::time::Duration;

fn config(vars: &[(&str, &str)]) -> Result<Config, String> {
    let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_env(vars).map_err(|error: ConfigError| error.to_string())
}

#[test]
fn defaults_are_the_charts() {
    let config = config(&[
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("POD_NAME", "zt"),
        ("POD_NAMESPACE", "istio-system"),
    ])
    .unwrap();
    assert_eq!(config.xds.address, "https://istiod.istio-system.svc:15012");
    assert_eq!(config.ca.address, config.xds.address);
    assert_eq!((config.mark, config.preserve_source, config.cluster_id.as_str()), (1337, true, "Kubernetes"));
    assert_eq!(config.node_id(), "ztunnel~1.1.1.1~zt.istio-system~istio-system.svc.cluster.local");
    assert_eq!(config.dns.unwrap().port, 15053);
    assert_eq!(config.drain_deadline, Duration::from_secs(5));
}

#[test]
fn the_drain_ends_before_the_kubelet_does() {
    let check = |vars: &[(&str, &str)], seconds| {
        assert_eq!(config(vars).unwrap().drain_deadline, Duration::from_secs(seconds), "{vars:?}");
    };
    check(&[("TERMINATION_GRACE_PERIOD_SECONDS", "30")], 25);
    check(&[("TERMINATION_GRACE_PERIOD_SECONDS", "10")], 9);
    check(&[("TERMINATION_GRACE_PERIOD_SECONDS", "0")], 0);
    check(&[("TERMINATION_GRACE_PERIOD_SECONDS", "30"), ("CONNECTION_TERMINATION_DEADLINE", "1m")], 60);
}

#[test]
fn what_is_not_done_is_refused() {
    let refused = |name: &str, value: &str| config(&[(name, value)]).err().unwrap_or_default();
    for (name, value) in [
        ("PROXY_MODE", "dedicated"),
        ("CRL_PATH", "/crl.pem"),
        ("XDS_ON_DEMAND", "true"),
        ("FAKE_CA", "true"),
        ("LOCAL_XDS_PATH", "/x.yaml"),
        ("TLS12_ENABLED", "true"),
        ("COMPLIANCE_POLICY", "fips-140-2"),
        ("INPOD_ENABLED", "false"),
    ] {
        assert!(refused(name, value).starts_with(&format!("{name}: ")), "{name}={value}");
    }
    assert!(config(&[("PROXY_MODE", "shared"), ("INPOD_ENABLED", "true"), ("CRL_PATH", "")]).is_ok());
    assert_eq!(refused("PACKET_MARK", "x"), "PACKET_MARK=\"x\": expected a number");
    assert_eq!(refused("IPV6_ENABLED", "maybe"), "IPV6_ENABLED=\"maybe\": expected true or false");
    assert!(refused("ISTIO_META_DNS_PROXY_ADDR", "10.0.0.1:53").contains("localhost:PORT"));
}

#[test]
fn workers() {
    let count = |vars: &[(&str, &str)]| config(vars).unwrap().workers;
    assert_eq!(count(&[("ZTUNNEL_WORKER_THREADS", "3")]), 3);
    assert!(count(&[("ZTUNNEL_WORKER_THREADS", "1%")]) >= 1);
    assert!(count(&[]) >= 2);
    assert!(config(&[("ZTUNNEL_WORKER_THREADS", "many")]).is_err());
}

#[test]
fn metadata_comes_as_text_and_as_json() {
    let config =
        config(&[("ISTIO_META_CLUSTER_ID", "west"), ("ISTIO_METAJSON_LABELS", "{\"a\":\"b\"}")]).unwrap();
    assert_eq!(config.cluster_id, "west");
    let metadata = config.metadata;
    assert!(metadata.contains(&("CLUSTER_ID".into(), "west".into())));
    assert!(metadata.contains(&("LABELS".into(), serde_json::json!({ "a": "b" }))));
}
