use super::*;
use std::collections::HashMap;

pub(crate) fn variables() -> HashMap<&'static str, &'static str> {
    HashMap::from([
        ("POD_NAME", "waypoint-5d9"),
        ("POD_NAMESPACE", "shop"),
        ("INSTANCE_IP", "10.244.9.1"),
        ("SERVICE_ACCOUNT", "waypoint"),
        ("CA_ADDR", "istiod.istio-system.svc:15012"),
        ("TRUST_DOMAIN", "cluster.local"),
        ("ISTIO_CPU_LIMIT", "2"),
        (
            "PROXY_CONFIG",
            r#"{"discoveryAddress":"istiod-canary.istio-system.svc:15012","terminationDrainDuration":"12s"}"#,
        ),
        ("ISTIO_META_CLUSTER_ID", "east"),
        ("XDS_HEADER_X-Tenant", "blue"),
    ])
}

pub(crate) fn read(
    variables: &HashMap<&'static str, &'static str>,
    args: &ProxyArgs,
) -> Result<Config, ConfigError> {
    let lookup = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let all = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Config::read(args, &Env { lookup: &lookup, all, root: PathBuf::from("/nonexistent") })
}

#[test]
fn reads_the_template() {
    let config = read(&variables(), &ProxyArgs::default()).unwrap();
    assert_eq!(config.discovery_address, "istiod-canary.istio-system.svc:15012");
    assert_eq!(config.ca_address, "istiod.istio-system.svc:15012");
    assert_eq!(config.cluster_id, "east");
    assert_eq!(config.workers, 2);
    assert_eq!(config.drain.termination, Duration::from_secs(12));
    assert!(!config.drain.exit_on_zero);
    assert_eq!(config.xds_headers, [("x-tenant".to_owned(), "blue".to_owned())]);
    assert_eq!(config.service_cluster, "waypoint.shop");
    assert_eq!(config.pod.ips, ["10.244.9.1".parse::<IpAddr>().unwrap()]);
}

#[test]
fn what_must_be_there() {
    for (name, expect) in [
        ("POD_NAME", ConfigError::Missing("POD_NAME")),
        ("POD_NAMESPACE", ConfigError::Missing("POD_NAMESPACE")),
        ("INSTANCE_IP", ConfigError::Missing("INSTANCE_IP")),
        ("SERVICE_ACCOUNT", ConfigError::Missing("SERVICE_ACCOUNT")),
    ] {
        let mut variables = variables();
        variables.remove(name);
        assert_eq!(read(&variables, &ProxyArgs::default()).unwrap_err(), expect);
    }
}

#[test]
fn malformed_values_are_named() {
    let mut variables = variables();
    variables.insert("INSTANCE_IPS", "10.0.0.1,fe80::zz");
    let error = read(&variables, &ProxyArgs::default()).unwrap_err();
    assert_eq!(error, ConfigError::Address("INSTANCE_IP", "fe80::zz".to_owned()));
    variables.remove("INSTANCE_IPS");
    variables.insert("PROXY_CONFIG", "[]");
    assert!(matches!(read(&variables, &ProxyArgs::default()), Err(ConfigError::ProxyConfig(_))));
}

#[test]
fn workers_by_precedence() {
    let mut variables = variables();
    let workers = |variables: &HashMap<_, _>, args: &ProxyArgs| read(variables, args).unwrap().workers;
    let flag = ProxyArgs { concurrency: Some(7), ..ProxyArgs::default() };
    assert_eq!(workers(&variables, &flag), 7);
    variables.insert("PROXY_CONFIG", r#"{"concurrency":5}"#);
    assert_eq!(workers(&variables, &ProxyArgs::default()), 5);
    variables.remove("PROXY_CONFIG");
    variables.insert("ISTIO_CPU_LIMIT", "0");
    assert!(workers(&variables, &ProxyArgs::default()) >= 1);
}

#[test]
fn log_levels() {
    for (flag, expect) in [
        ("default:debug", "debug"),
        ("rbac:debug,default:warn", "warn"),
        ("error", "error"),
        ("x:debug", "info"),
    ] {
        let args = ProxyArgs { log_output_level: Some(flag.to_owned()), ..ProxyArgs::default() };
        assert_eq!(log(&args).filter, expect, "{flag}");
    }
}
