use crate::state::fixtures::{address, endpoint, find, pod, policy, service, snapshot};
use crate::state::{NetworkAddress, Policy, Service, Snapshot, Workload};
use xds_client::proto::authorization::{Action, Match, Scope};
use xds_client::proto::workload as proto;

fn at(ip: &str) -> NetworkAddress {
    NetworkAddress { network: "".into(), ip: ip.parse().unwrap() }
}

fn endpoints(snapshot: &Snapshot, key: &str) -> Vec<String> {
    let Some(service) = snapshot.service(key) else { return Vec::new() };
    let mut names: Vec<_> = snapshot.endpoints(service).map(|workload| workload.name.to_string()).collect();
    names.sort();
    names
}

const CART: &str = "shop/cart.shop.svc.cluster.local";

#[test]
fn order_of_arrival_does_not_matter() {
    let cart = || endpoint(pod("shop", "cart-1", "10.0.0.1"), CART, &[(80, 8080)]);
    let vip = || service("shop", "cart", "10.96.0.1", &[(80, 8080)]);
    let mut later = snapshot([cart()], [], []);
    assert_eq!(later.staged().count(), 1);
    later.insert_service(Service::try_from(&vip()).unwrap());
    let mut earlier = snapshot([], [vip()], []);
    earlier.insert_workload(Workload::try_from(&cart()).unwrap());
    for snapshot in [later, earlier] {
        assert_eq!(endpoints(&snapshot, CART), ["cart-1"]);
        assert_eq!(snapshot.staged().count(), 0);
    }
}

#[test]
fn unready_endpoints_come_and_go_with_the_health_policy() {
    let mut cart = endpoint(pod("shop", "cart-1", "10.0.0.1"), CART, &[(80, 8080)]);
    cart.status = proto::WorkloadStatus::Unhealthy as i32;
    let mut vip = service("shop", "cart", "10.96.0.1", &[(80, 8080)]);
    let mut snapshot = snapshot([cart], [vip.clone()], []);
    assert!(endpoints(&snapshot, CART).is_empty());
    vip.load_balancing = Some(proto::LoadBalancing { health_policy: 1, ..Default::default() });
    snapshot.insert_service(Service::try_from(&vip).unwrap());
    assert_eq!(endpoints(&snapshot, CART), ["cart-1"], "the service alone changed");
}

#[test]
fn an_update_leaves_no_trace_of_the_old_workload() {
    let cart = endpoint(pod("shop", "cart-1", "10.0.0.1"), CART, &[(80, 8080)]);
    let mut snapshot = snapshot([cart], [service("shop", "cart", "10.96.0.1", &[(80, 8080)])], []);
    let before = snapshot.clone();
    snapshot.insert_workload(Workload::try_from(&pod("shop", "cart-1", "10.0.0.2")).unwrap());
    assert!(endpoints(&snapshot, CART).is_empty());
    assert!(snapshot.workload_by_address(&at("10.0.0.1")).is_none());
    assert_eq!(&*snapshot.workload_by_address(&at("10.0.0.2")).unwrap().name, "cart-1");
    assert_eq!(endpoints(&before, CART), ["cart-1"], "a published snapshot does not change");
}

#[test]
fn a_removal_is_of_a_workload_else_of_a_service() {
    let cart = endpoint(pod("shop", "cart-1", "10.0.0.1"), CART, &[(80, 8080)]);
    let mut snapshot = snapshot([cart], [service("shop", "cart", "10.96.0.1", &[(80, 8080)])], []);
    assert!(snapshot.remove_address("Kubernetes//Pod/shop/unknown").is_none());
    assert!(snapshot.remove_address(CART).is_none());
    assert!(
        snapshot.service(CART).is_none() && snapshot.service_by_address(&at("10.96.0.1"), "shop").is_none()
    );
    assert!(snapshot.remove_address("Kubernetes//Pod/shop/cart-1").is_some());
    assert_eq!((snapshot.workloads().count(), snapshot.staged().count()), (0, 0));
    assert!(snapshot.pod("shop", "cart-1", "cart-1").is_none());
}

#[test]
fn a_pod_is_found_by_name_and_account_on_our_node_only() {
    let mut elsewhere = pod("shop", "far", "10.0.0.9");
    elsewhere.node = "node-b".into();
    let snapshot = snapshot([pod("shop", "cart", "10.0.0.1"), elsewhere], [], []);
    assert!(snapshot.pod("shop", "cart", "cart").is_some());
    assert!(snapshot.pod("shop", "cart", "other").is_none());
    assert!(snapshot.pod("shop", "far", "far").is_none());
    assert!(snapshot.is_local_identity(&find(&snapshot, "cart").identity));
    assert!(!snapshot.is_local_identity(&find(&snapshot, "far").identity));
}

#[test]
fn host_network_pods_are_not_known_by_the_nodes_address() {
    let mut agent = pod("kube-system", "agent", "192.168.0.1");
    agent.network_mode = proto::NetworkMode::HostNetwork as i32;
    assert!(snapshot([agent], [], []).workload_by_address(&at("192.168.0.1")).is_none());
}

#[test]
fn of_two_entries_for_an_address_the_pod_wins() {
    let mut entry = pod("shop", "a-entry", "10.0.0.1");
    entry.uid = "Kubernetes/networking.istio.io/WorkloadEntry/shop/a-entry".into();
    let snapshot = snapshot([entry, pod("shop", "cart", "10.0.0.1")], [], []);
    assert_eq!(&*snapshot.workload_by_address(&at("10.0.0.1")).unwrap().name, "cart");
}

/// Services by `(namespace, canonical, private)` that share an address; whom a client in `namespace` means.
fn check_conflict(services: &[(&str, bool, bool)], namespace: &str, expect: Option<&str>) {
    let services = services.iter().map(|(namespace, canonical, private)| proto::Service {
        canonical: *canonical,
        visibility: i32::from(*private),
        ..service(namespace, "db", "10.96.0.1", &[(80, 80)])
    });
    let snapshot = snapshot([], services, []);
    let found =
        snapshot.service_by_address(&at("10.96.0.1"), namespace).map(|service| service.namespace.to_string());
    assert_eq!(found.as_deref(), expect);
}

#[test]
fn a_shared_address_means_own_namespace_then_kubernetes_then_the_first() {
    check_conflict(&[("a", false, false), ("b", true, false), ("c", false, false)], "c", Some("c"));
    check_conflict(&[("a", false, false), ("b", true, false), ("c", false, false)], "x", Some("b"));
    check_conflict(&[("b", false, false), ("a", false, false)], "x", Some("a"));
    check_conflict(&[("a", true, true), ("b", false, false)], "x", Some("b"));
    check_conflict(&[("a", true, true)], "x", None);
    check_conflict(&[("a", true, true)], "a", Some("a"));
}

#[test]
fn exact_addresses_win_over_ranges_and_long_ranges_over_short() {
    let ranged = |namespace: &str, ip: &str, length| proto::Service {
        addresses: vec![address(ip, Some(length))],
        ..service(namespace, "net", "10.96.0.1", &[(80, 80)])
    };
    let mut snapshot = snapshot(
        [],
        [
            ranged("a", "10.0.0.0", 8),
            ranged("b", "10.1.0.0", 16),
            service("c", "one", "10.1.1.1", &[(80, 80)]),
        ],
        [],
    );
    let check = |ip: &str, namespace: &str, expect: Option<&str>| {
        let found =
            snapshot.service_by_address(&at(ip), namespace).map(|service| service.namespace.to_string());
        assert_eq!(found.as_deref(), expect, "{ip} from {namespace}");
    };
    check("10.1.1.1", "x", Some("c"));
    check("10.1.9.9", "x", Some("b"));
    check("10.1.9.9", "a", Some("a"));
    check("10.9.9.9", "x", Some("a"));
    check("11.0.0.1", "x", None);
    check("::ffff", "x", None);
    snapshot.remove_service("b/net.b.svc.cluster.local");
    assert_eq!(
        &*snapshot.service_by_address(&at("10.1.9.9"), "x").unwrap().namespace,
        "a",
        "a removed range is gone"
    );
}

#[test]
fn policies_apply_by_scope_and_by_name() {
    let of = |key: &str, scope| policy(key, scope, Action::Deny, Match::default());
    let mut cart = pod("shop", "cart", "10.0.0.1");
    cart.authorization_policies = vec!["shop/selected".into(), "shop/missing".into()];
    let mut snapshot = snapshot(
        [cart],
        [],
        [
            of("istio-system/global", Scope::Global),
            of("shop/all", Scope::Namespace),
            of("other/all", Scope::Namespace),
            of("shop/selected", Scope::WorkloadSelector),
            of("shop/unselected", Scope::WorkloadSelector),
        ],
    );
    let cart = find(&snapshot, "cart");
    let keys = |snapshot: &Snapshot| {
        let mut keys: Vec<_> = snapshot.policies_of(&cart).map(|policy| policy.key.to_string()).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&snapshot), ["istio-system/global", "shop/all", "shop/selected"]);
    assert_eq!(snapshot.missing_policy(&cart).map(|key| &**key), Some("shop/missing"));
    let version = snapshot.policies_version();
    snapshot.insert_policy(Policy::try_from(&of("shop/all", Scope::WorkloadSelector)).unwrap());
    snapshot.remove_policy("istio-system/global");
    assert_eq!(keys(&snapshot), ["shop/selected"], "a policy that changed its scope left the old one");
    assert!(snapshot.policies_version() > version);
    let unchanged = snapshot.policies_version();
    snapshot.remove_policy("shop/never-sent");
    assert_eq!(snapshot.policies_version(), unchanged);
}
