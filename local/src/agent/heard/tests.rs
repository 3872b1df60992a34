use super::*;
use serde_json::json;

fn expect(workloads: &[&str], services: &[(&str, usize)]) -> Expected {
    Expected {
        workloads: workloads.iter().map(|uid| (*uid).to_owned()).collect(),
        services: services.iter().map(|(host, number)| ((*host).to_owned(), *number)).collect(),
    }
}

#[test]
fn a_ztunnel_knows_when_every_ready_pod_is_healthy_to_it() {
    let dump = json!({"workloads": [
        {"uid": "Kubernetes//Pod/shop/cart", "status": "Healthy"},
        {"uid": "Kubernetes//Pod/shop/till", "status": "Unhealthy"},
    ]});
    assert!(ztunnel_knows(&dump, &expect(&[], &[])));
    assert!(ztunnel_knows(&dump, &expect(&["Kubernetes//Pod/shop/cart"], &[])));
    assert!(!ztunnel_knows(&dump, &expect(&["Kubernetes//Pod/shop/till"], &[])));
    assert!(!ztunnel_knows(&dump, &expect(&["Kubernetes//Pod/shop/none"], &[])));
    assert!(!ztunnel_knows(&json!({}), &expect(&["Kubernetes//Pod/shop/cart"], &[])));
}

#[test]
fn a_waypoint_knows_when_its_services_have_their_endpoints() {
    let cluster = |name: &str, hosts: usize| json!({"name": name, "host_statuses": vec![json!({}); hosts]});
    let dump =
        |name: &str, hosts| json!({"cluster_statuses": [cluster(name, hosts), cluster("main_internal", 0)]});
    let name = "inbound-vip|80|http|cart.shop.svc.cluster.local";
    let two = expect(&[], &[("cart.shop.svc.cluster.local", 2)]);
    assert!(waypoint_knows(&dump(name, 2), &two));
    assert!(!waypoint_knows(&dump(name, 1), &two));
    assert!(waypoint_knows(&dump("inbound-vip|80|http|other.shop.svc.cluster.local", 0), &two));
    // A subset has fewer than its Service.
    assert!(waypoint_knows(&dump("inbound-vip|80|http/v1|cart.shop.svc.cluster.local", 1), &two));
}
