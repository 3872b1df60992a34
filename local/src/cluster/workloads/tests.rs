use super::*;

fn now() -> Now {
    Now { time: chrono::DateTime::UNIX_EPOCH, chance: 1 }
}

fn workload(kind: &Kind, replicas: u32, image: &str) -> Object {
    Object::ours(
        kind,
        "n",
        "w",
        json!({"metadata": {"uid": "u"}, "spec": {"replicas": replicas, "serviceName": "peers",
            "selector": {"matchLabels": {"app": "w"}},
            "template": {"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "c", "image": image}]}}}}),
    )
}

fn pods(store: &Store) -> Vec<Object> {
    store.of_kind(&POD).cloned().collect()
}

fn make_ready(store: &mut Store) {
    for pod in pods(store).iter().filter(|p| !p.is_terminating()) {
        store.edit(&pod.key, |p| {
            p.json["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
        });
    }
}

/// The node agent's part: terminating pods disappear.
fn end_terminating(store: &mut Store) {
    for pod in pods(store).iter().filter(|p| p.is_terminating()) {
        store.remove(&pod.key);
    }
}

#[test]
fn a_deployments_pod_is_named_and_owned_as_by_a_replica_set() {
    let mut store = Store::default();
    store.put(workload(&DEPLOYMENT, 1, "i"));
    reconcile(&mut store, &mut now());
    let pod = pods(&store).pop().unwrap();
    let hash = pod.label(HASH_LABEL).unwrap();
    assert_eq!(pod.str("/metadata/generateName"), format!("w-{hash}-"));
    assert!(pod.key.name.starts_with(&format!("w-{hash}-")), "{}", pod.key.name);
    assert_eq!(pod.str("/metadata/ownerReferences/0/kind"), "ReplicaSet");
    assert_eq!(pod.str("/metadata/ownerReferences/0/name"), format!("w-{hash}"));
    assert_eq!(owner(&pod), Some(Key::new(&DEPLOYMENT, "n", "w")));
    assert_eq!((pod.str("/spec/serviceAccountName"), pod.str("/spec/nodeName")), ("default", "fairway-node"));
    assert_eq!(store.find(&DEPLOYMENT, "n", "w").unwrap().json["status"]["readyReplicas"], 0);
}

#[test]
fn a_template_change_rolls_and_scaling_does_not() {
    let (mut store, mut now) = (Store::default(), now());
    store.put(workload(&DEPLOYMENT, 2, "one"));
    reconcile(&mut store, &mut now);
    make_ready(&mut store);
    let before: Vec<_> = pods(&store).iter().map(|p| p.key.clone()).collect();
    store.put(workload(&DEPLOYMENT, 3, "one"));
    reconcile(&mut store, &mut now);
    let kept: Vec<_> = pods(&store).iter().map(|p| p.key.clone()).filter(|k| before.contains(k)).collect();
    assert_eq!((pods(&store).len(), kept), (3, before));
    make_ready(&mut store);
    store.put(workload(&DEPLOYMENT, 3, "two"));
    for _ in 0..20 {
        reconcile(&mut store, &mut now);
        assert!(pods(&store).iter().filter(|p| is_ready(p) && !p.is_terminating()).count() >= 3);
        make_ready(&mut store);
        end_terminating(&mut store);
    }
    let images: Vec<_> = pods(&store).iter().map(|p| p.str("/spec/containers/0/image").to_owned()).collect();
    assert_eq!(images, ["two", "two", "two"]);
}

#[test]
fn a_stateful_set_starts_in_order_with_stable_names() {
    let mut store = Store::default();
    store.put(workload(&STATEFUL_SET, 2, "i"));
    reconcile(&mut store, &mut now());
    reconcile(&mut store, &mut now());
    assert_eq!(pods(&store).len(), 1, "the second waits for the first");
    make_ready(&mut store);
    reconcile(&mut store, &mut now());
    let names: Vec<_> =
        pods(&store).iter().map(|p| (p.key.name.clone(), p.str("/spec/subdomain").to_owned())).collect();
    assert_eq!(names, [("w-0".into(), "peers".into()), ("w-1".into(), "peers".to_owned())]);
}

#[test]
fn pods_end_with_their_workload() {
    let mut store = Store::default();
    store.put(workload(&DAEMON_SET, 5, "i"));
    store.put(Object::ours(&POD, "n", "bare", json!({})));
    reconcile(&mut store, &mut now());
    assert_eq!(pods(&store).len(), 2, "one node: one pod of the DaemonSet, and the bare one");
    store.remove(&Key::new(&DAEMON_SET, "n", "w"));
    reconcile(&mut store, &mut now());
    let ending: Vec<_> =
        pods(&store).into_iter().filter(Object::is_terminating).map(|p| p.key.name).collect();
    assert_eq!(ending.len(), 1);
    assert!(ending[0].starts_with("w-"), "{ending:?}");
}
