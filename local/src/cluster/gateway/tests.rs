use super::*;
use crate::manifest::kinds::NAMESPACE;

fn setup(metadata: Value, class: &str) -> Store {
    let mut store = Store::default();
    store.put(Object::ours(&NAMESPACE, "", "n", json!({})));
    let spec = json!({"gatewayClassName": class, "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]});
    let mut gateway = Object::ours(&GATEWAY, "n", "w", json!({"metadata": metadata, "spec": spec}));
    gateway.json["metadata"]["uid"] = "u".into();
    store.put(gateway);
    reconcile(&mut store, &mut Pool::services(), &mut now());
    store
}

fn now() -> Now {
    Now { time: chrono::DateTime::UNIX_EPOCH, chance: 1 }
}

#[test]
fn a_waypoint_gets_what_istiods_template_gives() {
    let store = setup(json!({"labels": {"istio.io/waypoint-for": "service"}}), WAYPOINT_CLASS);
    let service = store.find(&SERVICE, "n", "w").unwrap();
    let ports: Vec<_> =
        service.array("/spec/ports").iter().map(|p| (p["port"].clone(), p["appProtocol"].clone())).collect();
    assert_eq!(ports, [(15021.into(), "tcp".into()), (15008.into(), "hbone".into())]);
    assert_eq!(service.annotation("networking.istio.io/traffic-distribution"), Some("PreferClose"));
    assert_eq!(service.label("istio.io/waypoint-for"), Some("service"));
    assert_eq!(service.str("/spec/clusterIP"), "10.96.0.10");
    assert!(store.find(&SERVICE_ACCOUNT, "n", "w").is_some());
    let deployment = store.find(&DEPLOYMENT, "n", "w").unwrap();
    let labels = deployment.strings("/spec/template/metadata/labels");
    for (name, value) in [
        ("gateway.istio.io/managed", "istio.io-mesh-controller"),
        ("istio.io/dataplane-mode", "none"),
        (NAME_LABEL, "w"),
        (CLASS_LABEL, "istio-waypoint"),
        ("service.istio.io/canonical-name", "w"),
        ("istio.io/waypoint-for", "service"),
    ] {
        assert_eq!(labels.get(name).map(String::as_str), Some(value), "{name}");
    }
    let args = deployment.array("/spec/template/spec/containers/0/args");
    assert_eq!(
        args[..6],
        [
            "proxy",
            "waypoint",
            "--domain",
            "$(POD_NAMESPACE).svc.cluster.local",
            "--serviceCluster",
            "w.$(POD_NAMESPACE)"
        ]
    );
    crate::manifest::typed::check(deployment).unwrap();
    crate::manifest::typed::check(service).unwrap();
}

#[test]
fn reconciling_again_changes_nothing() {
    let mut store = setup(json!({}), WAYPOINT_CLASS);
    store.take_changes();
    reconcile(&mut store, &mut Pool::services(), &mut now());
    assert_eq!(store.take_changes(), Default::default());
}

#[test]
fn an_image_annotation_counts_if_it_names_a_registry() {
    let check = |image: &str, expect: &str| {
        let store = setup(json!({"annotations": {"sidecar.istio.io/proxyImage": image}}), WAYPOINT_CLASS);
        let deployment = store.find(&DEPLOYMENT, "n", "w").unwrap();
        assert_eq!(deployment.str("/spec/template/spec/containers/0/image"), expect);
    };
    check("example.org/other:v1", "example.org/other:v1");
    check("other", DEFAULT_IMAGE);
}

#[test]
fn other_gateways_get_nothing() {
    let store = setup(json!({}), "istio");
    assert!(store.find(&DEPLOYMENT, "n", "w").is_none());
}

#[test]
fn everything_goes_with_the_gateway() {
    let mut store = setup(json!({}), WAYPOINT_CLASS);
    store.remove(&Key::new(&GATEWAY, "n", "w"));
    let mut vips = Pool::services();
    reconcile(&mut store, &mut vips, &mut now());
    assert_eq!(store.all().map(|o| o.key.kind.as_str()).collect::<Vec<_>>(), ["Namespace"]);
}
