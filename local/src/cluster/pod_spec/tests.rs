use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::manifest::kinds::POD;
use crate::pods::spec::{Projection, VolumeSource};

const TABLE: &str = "- {image: ^prog, program: prog, args: [one], env: {A: image, B: image}}\n- {image: ^curl, entrypoint: \
                     [sleep, infinity]}";

fn pod(spec: Value) -> Object {
    Object::ours(&POD, "n", "p", json!({"metadata": {"uid": "u", "labels": {"app": "x"}}, "spec": spec}))
}

fn resolve(store: &Store, spec: Value) -> Result<PodSpec, PodError> {
    let images = Images::parse(TABLE).unwrap();
    let mint: &dyn Fn(&str) -> Mint = &|audience| {
        let audience = audience.to_owned();
        Arc::new(move |life: Duration| Ok(format!("{audience} {}", life.as_secs())))
    };
    let sources = Sources {
        store,
        images: &images,
        namespace: "n",
        pod_ip: Ipv4Addr::new(10, 244, 0, 10),
        node_ip: addresses::NODE,
        node_cpus: 4,
        node_memory: 1 << 30,
        program: &|name| Ok(PathBuf::from("/bin").join(name)),
        mint,
    };
    pod_spec(&pod(spec), &sources)
}

#[test]
fn command_and_arguments() {
    let check = |container: Value, program: Program, args: &[&str]| {
        let spec = resolve(&Store::default(), json!({"containers": [container]})).unwrap();
        assert_eq!(
            (&spec.containers[0].program, spec.containers[0].args.as_slice()),
            (&program, &args.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..])
        );
    };
    let machine = || Program::Machine("/bin/prog".into());
    check(json!({"name": "c", "image": "prog"}), machine(), &["one"]);
    check(
        json!({"name": "c", "image": "prog", "command": ["x"], "args": ["two"]}),
        machine(),
        &["one", "two"],
    );
    check(
        json!({"name": "c", "image": "prog", "args": ["$(NS).x", "$$(NS)", "$(NO)"],
            "env": [{"name": "NS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}]}),
        machine(),
        &["one", "n.x", "$(NS)", "$(NO)"],
    );
    check(json!({"name": "c", "image": "curl"}), Program::Container("sleep".into()), &["infinity"]);
    check(
        json!({"name": "c", "image": "curl", "command": ["/bin/sleep"], "args": ["9"]}),
        Program::Container("/bin/sleep".into()),
        &["9"],
    );
}

#[test]
fn environment() {
    let mut store = Store::default();
    store.put(Object::ours(&CONFIG_MAP, "n", "cm", json!({"data": {"k": "from-map"}})));
    store.put(Object::ours(&SECRET, "n", "s", json!({"data": {"k": "c2VjcmV0"}})));
    let field =
        |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let spec = json!({"serviceAccountName": "sa", "nodeName": "fairway-node", "containers": [{"name": "c", "image": "prog",
        "resources": {"limits": {"memory": "128Mi"}},
        "envFrom": [{"prefix": "X_", "configMapRef": {"name": "cm"}}],
        "env": [{"name": "A", "value": "own"}, field("IP", "status.podIP"), field("HOST", "status.hostIP"),
            field("SA", "spec.serviceAccountName"), field("APP", "metadata.labels['app']"),
            {"name": "URL", "value": "http://$(IP)"},
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "OPT", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": true}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}]}]});
    let spec = resolve(&store, spec).unwrap();
    let env: BTreeMap<_, _> = spec.containers[0].env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expect = [
        ("A", "own"),
        ("APP", "x"),
        ("B", "image"),
        ("CPU", "4"),
        ("HOST", "10.244.0.1"),
        ("HOSTNAME", "p"),
        ("IP", "10.244.0.10"),
        ("MEM", "128"),
        ("S", "secret"),
        ("SA", "sa"),
        ("URL", "http://10.244.0.10"),
        ("X_k", "from-map"),
    ];
    assert_eq!(env, BTreeMap::from(expect));
}

#[test]
fn what_is_missing_or_unsupported_is_told() {
    let check = |spec: Value, expect: &str| {
        let error = resolve(&Store::default(), spec).unwrap_err();
        assert_eq!(error.to_string(), expect);
    };
    let with = |extra: Value| {
        let mut container = json!({"name": "c", "image": "prog"});
        for (k, v) in extra.as_object().unwrap() {
            container[k] = v.clone();
        }
        json!({"containers": [container]})
    };
    check(json!({"containers": []}), "spec.containers: is required");
    check(
        json!({"containers": [{"name": "c", "image": "nginx"}]}),
        "no program stands in for image \"nginx\"; add it to the image table (--images)",
    );
    check(with(json!({"envFrom": [{"secretRef": {"name": "s"}}]})), "secret \"s\" not found");
    check(
        with(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}})),
        "fairway does not support lifecycle hooks of container \"c\"",
    );
    check(
        with(json!({"readinessProbe": {"grpc": {"port": 1}}})),
        "fairway does not support gRPC probes (container \"c\")",
    );
    check(
        with(json!({"readinessProbe": {"tcpSocket": {"port": "web"}}})),
        "probe.port: String(\"web\") is no port of the container",
    );
    let mut volume = with(json!({}));
    volume["volumes"] = json!([{"name": "v", "configMap": {"name": "cm"}}]);
    check(volume.clone(), "configmap \"cm\" not found");
    volume["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]);
    check(volume, "fairway does not support the type of volume \"v\"");
}

#[test]
fn volumes_carry_their_content() {
    let mut store = Store::default();
    store.put(Object::ours(&CONFIG_MAP, "n", "cm", json!({"data": {"a": "1", "b": "2"}})));
    let spec = json!({"containers": [{"name": "c", "image": "prog", "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}]}],
        "volumes": [{"name": "v", "configMap": {"name": "cm", "items": [{"key": "b", "path": "sub/b"}]}}, {"name": "bare"},
            {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token"}},
                {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}}]});
    let spec = resolve(&store, spec).unwrap();
    let VolumeSource::Projected(v) = &spec.volumes[0].source else { panic!("{:?}", spec.volumes[0]) };
    let Projection::Files(files) = &v[0] else { panic!("{v:?}") };
    assert_eq!(files, &BTreeMap::from([("sub/b".to_owned(), b"2".to_vec())]));
    assert!(matches!(spec.volumes[1].source, VolumeSource::EmptyDir));
    let VolumeSource::Projected(t) = &spec.volumes[2].source else { panic!("{:?}", spec.volumes[2]) };
    let Projection::Token(token) = &t[0] else { panic!("{t:?}") };
    assert_eq!((token.mint)(token.lifetime).unwrap(), "istio-ca 43200");
    let Projection::Files(files) = &t[1] else { panic!("{t:?}") };
    assert_eq!(files["labels"], b"app=\"x\"");
    assert!(spec.containers[0].mounts[0].read_only);
}
