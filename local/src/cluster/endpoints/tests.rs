use super::*;

fn pod(name: &str, last: u8, ready: bool) -> Object {
    Object::ours(
        &POD,
        "n",
        name,
        json!({"metadata": {"uid": name, "labels": {"app": "a"}},
            "spec": {"containers": [{"ports": [{"name": "web", "containerPort": 8000 + u64::from(last)}]}]},
            "status": {"podIP": format!("10.244.0.{last}"), "phase": "Running",
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}}),
    )
}

fn service(spec: Value) -> Object {
    let mut service = Object::ours(&SERVICE, "n", "a", json!({"metadata": {"uid": "s"}, "spec": spec}));
    service.json["spec"]["clusterIP"] = "10.96.0.10".into();
    service
}

fn store(spec: Value, pods: Vec<Object>) -> Store {
    let mut store = Store::default();
    store.put(service(spec));
    for pod in pods {
        store.put(pod);
    }
    reconcile(&mut store);
    store
}

const PORT: &str = r#"{"name":"http","port":80,"targetPort":8080,"protocol":"TCP"}"#;

fn spec() -> Value {
    json!({"selector": {"app": "a"}, "ports": [serde_json::from_str::<Value>(PORT).unwrap()]})
}

#[test]
fn conditions_follow_readiness_and_termination() {
    let check = |ready: bool, terminating: bool, publish: bool, expect: (bool, bool, bool)| {
        let mut p = pod("p", 10, ready);
        if terminating {
            p.json["metadata"]["deletionTimestamp"] = "now".into();
        }
        let mut spec = spec();
        spec["publishNotReadyAddresses"] = publish.into();
        let store = store(spec, vec![p]);
        let slice = store.of_kind(&ENDPOINT_SLICE).next().unwrap();
        let c = &slice.array("/endpoints")[0]["conditions"];
        let got = (c["ready"] == true, c["serving"] == true, c["terminating"] == true);
        assert_eq!(got, expect, "ready {ready}, terminating {terminating}, publish {publish}");
    };
    check(true, false, false, (true, true, false));
    check(false, false, false, (false, false, false));
    check(true, true, false, (false, true, true));
    check(false, true, false, (false, false, true));
    check(false, false, true, (true, false, false));
}

#[test]
fn only_selected_pods_with_an_address_that_still_run() {
    let mut other = pod("other", 11, true);
    other.json["metadata"]["labels"]["app"] = "b".into();
    let mut new = pod("new", 12, true);
    new.json["status"]["podIP"] = "".into();
    let mut done = pod("done", 13, true);
    done.json["status"]["phase"] = "Succeeded".into();
    let mut away = pod("away", 14, true);
    away.key.namespace = "m".into();
    let store = store(spec(), vec![pod("p", 10, true), other, new, done, away]);
    let slice = store.of_kind(&ENDPOINT_SLICE).next().unwrap();
    let addresses: Vec<_> = slice.array("/endpoints").iter().map(|e| e["addresses"][0].clone()).collect();
    assert_eq!(addresses, ["10.244.0.10"]);
    assert_eq!(slice.label(SERVICE_LABEL), Some("a"));
}

#[test]
fn named_ports_that_differ_go_to_separate_slices() {
    let mut spec = spec();
    spec["ports"][0]["targetPort"] = "web".into();
    let store = store(spec, vec![pod("p", 10, true), pod("q", 11, true)]);
    let ports: Vec<_> =
        store.of_kind(&ENDPOINT_SLICE).map(|s| s.array("/ports")[0]["port"].clone()).collect();
    assert_eq!(ports.len(), 2);
    assert!(ports.contains(&8010.into()) && ports.contains(&8011.into()), "{ports:?}");
    let mut endpoints = vips(&store)[0].endpoints.clone();
    endpoints.sort_unstable();
    let expect: Vec<SocketAddrV4> =
        vec!["10.244.0.10:8010".parse().unwrap(), "10.244.0.11:8011".parse().unwrap()];
    assert_eq!(endpoints, expect);
}

#[test]
fn virtual_addresses_lead_to_ready_pods_or_else_to_those_that_still_serve() {
    let ending = |mut p: Object| {
        p.json["metadata"]["deletionTimestamp"] = "now".into();
        p
    };
    let check = |pods: Vec<Object>, expect: &[&str]| {
        let vips = vips(&store(spec(), pods));
        assert_eq!((vips[0].vip, vips[0].port), (Ipv4Addr::new(10, 96, 0, 10), 80));
        let expect: Vec<SocketAddrV4> = expect.iter().map(|s| s.parse().unwrap()).collect();
        assert_eq!(vips[0].endpoints, expect);
    };
    check(vec![pod("p", 10, true), ending(pod("q", 11, true))], &["10.244.0.10:8080"]);
    check(vec![pod("p", 10, false), ending(pod("q", 11, true))], &["10.244.0.11:8080"]);
    check(vec![pod("p", 10, false)], &[]);
    check(vec![], &[]);
}

#[test]
fn slices_go_with_their_service() {
    let mut store = store(spec(), vec![pod("p", 10, true)]);
    store.put(Object::ours(
        &ENDPOINT_SLICE,
        "n",
        "users-own",
        json!({"metadata": {"labels": {SERVICE_LABEL: "a"}}}),
    ));
    store.remove(&Key::new(&SERVICE, "n", "a"));
    reconcile(&mut store);
    let left: Vec<_> = store.of_kind(&ENDPOINT_SLICE).map(|s| s.key.name.clone()).collect();
    assert_eq!(left, ["users-own"]);
}
