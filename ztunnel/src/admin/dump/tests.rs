//! Against the shapes a real ztunnel prints and istioctl decodes.

use crate::admin::dump;
use crate::config::Config;
use crate::state::Policy;
use crate::state::Service;
use crate::state::fixtures::{endpoint, exact, find, gateway, pod, policy, presence, service, snapshot};
use serde_json::json;
use xds_client::proto::authorization::{Action, Address, Match, Scope};
use xds_client::proto::workload::{ApplicationTunnel, LoadBalancing};

#[test]
fn a_plain_workload() {
    let snapshot = snapshot([pod("default", "client", "10.99.0.2")], [], []);
    assert_eq!(
        dump::workload(&find(&snapshot, "client")),
        json!({
            "canonicalName": "client", "canonicalRevision": "v1", "capacity": 1, "clusterId": "Kubernetes",
            "name": "client", "namespace": "default", "networkMode": "Standard", "node": "node-a", "protocol": "HBONE",
            "serviceAccount": "client", "status": "Healthy", "trustDomain": "cluster.local",
            "uid": "Kubernetes//Pod/default/client", "workloadIps": ["10.99.0.2"], "workloadName": "client",
            "workloadType": "deployment",
        })
    );
}

#[test]
fn a_workload_with_everything_istioctl_prints() {
    let mut proto = pod("default", "client", "10.99.0.2");
    proto.waypoint = Some(gateway("default", "wp.default.svc"));
    proto.application_tunnel = Some(ApplicationTunnel { protocol: 1, port: 15088 });
    proto.authorization_policies = vec!["default/p".into()];
    proto.network = "west".into();
    proto.tunnel_protocol = 0;
    proto.status = 1;
    let dumped = dump::workload(&find(&snapshot([proto], [], []), "client"));
    assert_eq!(
        dumped["waypoint"],
        json!({ "destination": "default/wp.default.svc", "hboneMtlsPort": 15008 })
    );
    assert_eq!(dumped["applicationTunnel"], json!({ "protocol": "PROXY", "port": 15088 }));
    assert_eq!(dumped["authorizationPolicies"], json!(["default/p"]));
    assert_eq!(
        (&dumped["network"], &dumped["protocol"], &dumped["status"]),
        (&json!("west"), &json!("TCP"), &json!("Unhealthy"))
    );
}

#[test]
fn a_service_with_its_endpoints() {
    let key = "default/echo.default.svc.cluster.local";
    let server = endpoint(pod("default", "server", "10.99.0.3"), key, &[(80, 8080)]);
    let mut proto = service("default", "echo", "10.98.0.1", &[(80, 8080), (9999, 9999)]);
    proto.load_balancing =
        Some(LoadBalancing { mode: 2, routing_preference: vec![6, 1], ..Default::default() });
    let snapshot = snapshot([server], [proto], []);
    let echo: &Service = snapshot.service(key).unwrap();
    assert_eq!(
        dump::service(&snapshot, echo),
        json!({
            "canonical": true,
            "endpoints": { "Kubernetes//Pod/default/server": {
                "port": { "80": 8080 }, "service": key, "status": "Healthy", "workloadUid": "Kubernetes//Pod/default/server",
            } },
            "hostname": "echo.default.svc.cluster.local", "name": "echo", "namespace": "default",
            "ports": { "80": 8080, "9999": 9999 }, "subjectAltNames": [], "vips": ["/10.98.0.1"], "visibility": "Public",
            "loadBalancer": { "mode": "Failover", "routingPreferences": ["Network", "Region"], "healthPolicy": "OnlyHealthy" },
        })
    );
}

#[test]
fn a_policy() {
    let only = Match {
        principals: vec![exact("cluster.local/ns/a/sa/b")],
        not_principals: vec![presence()],
        source_ips: vec![Address { address: vec![10, 0, 0, 0].into(), length: 8 }],
        destination_ports: vec![9999],
        ..Default::default()
    };
    let policy = Policy::try_from(&policy("default/deny", Scope::Namespace, Action::Deny, only)).unwrap();
    assert_eq!(
        dump::policy(&policy),
        json!({
            "name": "deny", "namespace": "default", "scope": "Namespace", "action": "Deny", "dryRun": false,
            "rules": [[[{
                "principals": [{ "Exact": "cluster.local/ns/a/sa/b" }], "notPrincipals": ["Presence"],
                "sourceIps": ["10.0.0.0/8"], "destinationPorts": [9999],
            }]]],
        })
    );
}

#[test]
fn what_kiali_decodes_strictly() {
    let vars = [("IPV6_ENABLED", "false"), ("CONNECTION_TERMINATION_DEADLINE", "5s")];
    let config = Config::from_env(vars.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap();
    let dumped = dump::config(&config);
    assert_eq!(dumped["adminAddr"], json!({ "Localhost": [false, 15000] }));
    assert_eq!(dumped["readinessAddr"], json!({ "SocketAddr": "0.0.0.0:15021" }));
    assert_eq!(dumped["xdsRootCert"], json!({ "File": "./var/run/secrets/istio/root-cert.pem" }));
    assert_eq!(dumped["selfTerminationDeadline"], json!({ "secs": 5, "nanos": 0 }));
}
