use super::*;
use crate::cluster::admission::admit;
use crate::cluster::builtin::{Machine, objects};
use crate::manifest::kinds::{DEPLOYMENT, ENDPOINT_SLICE, GATEWAY, POD, SERVICE};

fn setup() -> (Store, Controllers, Now) {
    let (mut store, mut controllers) = (Store::default(), Controllers::default());
    let mut now = Now { time: chrono::DateTime::UNIX_EPOCH, chance: 3 };
    for object in objects(Machine { cpus: 2, memory: 1 << 30 }, true) {
        let object = admit(object, &store, &mut controllers.vips, &mut now).unwrap();
        store.put(object);
    }
    controllers.reconcile(&mut store, &mut now);
    (store, controllers, now)
}

fn apply(text: &str, store: &mut Store, controllers: &mut Controllers, now: &mut Now) {
    for (_, object) in crate::manifest::parse::parse("t.yaml", text, "default").unwrap() {
        let object = admit(object, store, &mut controllers.vips, now).unwrap();
        store.put(object);
    }
    controllers.reconcile(store, now);
}

const APP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: waypoint}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}
";

#[test]
fn one_apply_makes_everything() {
    let (mut store, mut controllers, mut now) = setup();
    apply(APP, &mut store, &mut controllers, &mut now);
    let pods: Vec<_> = store.of_kind(&POD).filter(|p| p.key.namespace == "shop").collect();
    assert_eq!(pods.len(), 3, "two web pods and a waypoint");
    assert!(store.find(&SERVICE_ACCOUNT, "shop", "default").is_some());
    let slices = store.of_kind(&ENDPOINT_SLICE).filter(|s| s.key.namespace == "shop").count();
    assert_eq!(slices, 2);
    let version = fingerprint(&store);
    controllers.reconcile(&mut store, &mut now);
    assert_eq!(fingerprint(&store), version, "at rest");
}

#[test]
fn the_root_certificate_reaches_every_namespace() {
    let (mut store, mut controllers, mut now) = setup();
    controllers.root_cert = Some("PEM".to_owned());
    apply(APP, &mut store, &mut controllers, &mut now);
    for namespace in ["default", "istio-system", "shop"] {
        let map = store.find(&CONFIG_MAP, namespace, ROOT_CERT).unwrap();
        assert_eq!(map.str("/data/root-cert.pem"), "PEM", "{namespace}");
    }
}

#[test]
fn deleting_a_namespace_waits_for_its_pods() {
    let (mut store, mut controllers, mut now) = setup();
    apply(APP, &mut store, &mut controllers, &mut now);
    let key = Key::new(&NAMESPACE, "", "shop");
    assert!(controllers.delete(&mut store, &key, &now));
    controllers.reconcile(&mut store, &mut now);
    let left: Vec<_> = store.all().filter(|o| o.key.namespace == "shop").map(|o| o.key.clone()).collect();
    assert!(left.iter().all(|k| k.is(&POD)) && left.len() == 3, "{left:?}");
    for pod in left {
        store.remove(&pod);
    }
    controllers.reconcile(&mut store, &mut now);
    assert!(store.get(&key).is_none());
}

#[test]
fn deleting_frees_the_address() {
    let (mut store, mut controllers, mut now) = setup();
    apply(APP, &mut store, &mut controllers, &mut now);
    let service = store.find(&SERVICE, "shop", "web").unwrap();
    let address: std::net::Ipv4Addr = service.str("/spec/clusterIP").parse().unwrap();
    let key = service.key.clone();
    controllers.delete(&mut store, &key, &now);
    assert_eq!(controllers.vips.claim(address), Ok(()));
    controllers.delete(&mut store, &Key::new(&GATEWAY, "shop", "waypoint"), &now);
    controllers.reconcile(&mut store, &mut now);
    assert!(store.find(&DEPLOYMENT, "shop", "waypoint").is_none());
    let running = store.of_kind(&POD).filter(|p| p.key.namespace == "shop" && !p.is_terminating()).count();
    assert_eq!(running, 2, "the web pods stay, the waypoint's ends");
}
