use super::*;
use crate::proto::envoy::envoy::service::discovery::v3::Resource;
use crate::type_url::{CLUSTER, ENDPOINT, WORKLOAD};

fn machine() -> Delta {
    Delta::new(Node { id: "waypoint~10.0.0.1~w.ns~ns.svc.cluster.local".into(), ..Default::default() })
}

fn names(list: &[&str]) -> Subscription {
    Subscription::Names(list.iter().map(|name| (*name).to_owned()).collect())
}

fn response(
    type_url: &str,
    nonce: &str,
    resources: &[(&str, &str)],
    removed: &[&str],
) -> DeltaDiscoveryResponse {
    DeltaDiscoveryResponse {
        type_url: type_url.into(),
        nonce: nonce.into(),
        resources: resources
            .iter()
            .map(|(name, version)| Resource {
                name: (*name).into(),
                version: (*version).into(),
                ..Default::default()
            })
            .collect(),
        removed_resources: removed.iter().map(|name| (*name).into()).collect(),
        ..Default::default()
    }
}

#[test]
fn wildcard_is_an_empty_first_request_with_the_node() {
    let request = machine().subscribe(CLUSTER, Subscription::Wildcard).expect("a first request");
    assert!(request.node.is_some());
    assert!(request.resource_names_subscribe.is_empty());
    assert!(request.initial_resource_versions.is_empty());
}

#[test]
fn a_named_type_waits_for_its_first_name() {
    let mut delta = machine();
    assert!(delta.subscribe(ENDPOINT, names(&[])).is_none());
    let request = delta.subscribe(ENDPOINT, names(&["a"])).expect("now there is a name");
    assert_eq!(request.resource_names_subscribe, ["a"]);
}

#[test]
fn subscription_changes_are_differences() {
    let mut delta = machine();
    delta.subscribe(ENDPOINT, names(&["a", "b"]));
    let request = delta.subscribe(ENDPOINT, names(&["b", "c"])).expect("a change");
    assert_eq!(request.resource_names_subscribe, ["c"]);
    assert_eq!(request.resource_names_unsubscribe, ["a"]);
    assert!(request.node.is_none() && request.response_nonce.is_empty());
    assert!(delta.subscribe(ENDPOINT, names(&["b", "c"])).is_none(), "no request without a change");
}

#[test]
fn one_answer_per_response_and_refused_resources_are_not_held() {
    let mut delta = machine();
    delta.subscribe(WORKLOAD, Subscription::Wildcard);
    let good = response(WORKLOAD, "n1", &[("a", "1"), ("b", "2")], &[]);
    let ack = delta.answer(&good, &[]);
    assert_eq!((ack.response_nonce.as_str(), ack.error_detail.is_none()), ("n1", true));
    assert!(ack.resource_names_subscribe.is_empty());

    let bad = response(WORKLOAD, "n2", &[("b", "3"), ("c", "4")], &["a"]);
    let rejection = Rejection { name: "b".into(), reason: "tunnel_protocol: 2".into() };
    let nack = delta.answer(&bad, &[rejection]);
    assert_eq!(nack.response_nonce, "n2");
    assert_eq!(nack.error_detail.expect("a NACK").message, "b: tunnel_protocol: 2");

    let resumed = delta.on_connected().remove(0);
    assert!(resumed.node.is_some());
    let held: BTreeMap<_, _> = resumed.initial_resource_versions.into_iter().collect();
    assert_eq!(held, BTreeMap::from([("c".to_owned(), "4".to_owned())]));
}

#[test]
fn a_new_stream_asks_in_the_first_order_and_drops_names_no_longer_wanted() {
    let mut delta = machine();
    delta.subscribe(WORKLOAD, Subscription::Wildcard);
    delta.subscribe(CLUSTER, Subscription::Wildcard);
    delta.subscribe(ENDPOINT, names(&["x", "y"]));
    delta.answer(&response(ENDPOINT, "n", &[("x", ""), ("y", "")], &[]), &[]);
    delta.subscribe(ENDPOINT, names(&["y"]));
    let requests = delta.on_connected();
    let urls: Vec<_> = requests.iter().map(|request| request.type_url.as_str()).collect();
    assert_eq!(urls, [WORKLOAD, CLUSTER, ENDPOINT]);
    assert_eq!(requests[2].resource_names_subscribe, ["y"]);
    assert_eq!(requests[2].initial_resource_versions.keys().collect::<Vec<_>>(), ["y"]);
}

#[test]
fn a_resume_request_the_server_could_not_receive_starts_afresh() {
    let mut delta = machine();
    delta.subscribe(WORKLOAD, Subscription::Wildcard);
    let long = "x".repeat(1 << 20);
    let resources: Vec<(String, &str)> = (0..4).map(|i| (format!("{i}{long}"), "v")).collect();
    let resources: Vec<(&str, &str)> =
        resources.iter().map(|(name, version)| (name.as_str(), *version)).collect();
    delta.answer(&response(WORKLOAD, "n", &resources, &[]), &[]);
    assert!(delta.on_connected()[0].initial_resource_versions.is_empty());
}

#[test]
fn nack_text_is_bounded() {
    let rejections: Vec<_> =
        (0..2000).map(|i| Rejection { name: format!("r{i}"), reason: "é".repeat(20) }).collect();
    assert!(nack_text(&rejections).len() <= NACK_TEXT_MAX + 4);
}
