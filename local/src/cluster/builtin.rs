//! What a fresh cluster with ambient Istio installed holds: namespaces, the node, istiod's Service, ztunnel's DaemonSet as
//! its chart renders it, and the pod through which the ingress enters the mesh.

use serde_json::{Value, json};

use super::addresses::{ISTIOD_VIP, NODE, NODE_NAME};
use super::endpoints::SERVICE_LABEL;
use crate::manifest::Object;
use crate::manifest::kinds::{
    CONFIG_MAP, DAEMON_SET, DEPLOYMENT, ENDPOINT_SLICE, NAMESPACE, NODE as NODE_KIND, SERVICE,
    SERVICE_ACCOUNT,
};

pub const ISTIO_SYSTEM: &str = "istio-system";
pub const INGRESS_NAMESPACE: &str = "fairway-ingress";
pub const INGRESS: &str = "ingress";
/// Where ztunnel meets the node agent.
pub const ZTUNNEL_RUN: &str = "/var/run/ztunnel";

/// Size of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub cpus: usize,
    pub memory: u64,
}

/// What is there before any manifest; without `mesh` only what pods need.
#[must_use]
pub fn objects(machine: Machine, mesh: bool) -> Vec<Object> {
    let namespace = |name: &str, labels: Value| {
        Object::ours(
            &NAMESPACE,
            "",
            name,
            json!({"metadata": {"labels": labels},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
        )
    };
    let ambient = if mesh { json!({"istio.io/dataplane-mode": "ambient"}) } else { json!({}) };
    let mut list = vec![
        namespace("default", json!({})),
        namespace("kube-system", json!({})),
        namespace(ISTIO_SYSTEM, json!({})),
        namespace(INGRESS_NAMESPACE, ambient),
        node(machine),
        Object::ours(&SERVICE_ACCOUNT, INGRESS_NAMESPACE, INGRESS, json!({})),
        ingress(),
    ];
    if mesh {
        list.push(Object::ours(&SERVICE_ACCOUNT, ISTIO_SYSTEM, "ztunnel", json!({})));
        list.push(mesh_config());
        list.extend(istiod());
        list.push(ztunnel());
    }
    list
}

fn node(machine: Machine) -> Object {
    let capacity =
        json!({"cpu": machine.cpus.to_string(), "memory": machine.memory.to_string(), "pods": "110"});
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    Object::ours(
        &NODE_KIND,
        "",
        NODE_NAME,
        json!({
            "metadata": {"labels": {"kubernetes.io/hostname": NODE_NAME, "kubernetes.io/os": "linux",
                "kubernetes.io/arch": arch, "topology.kubernetes.io/region": "local",
                "topology.kubernetes.io/zone": "local"}},
            "spec": {"podCIDR": "10.244.0.0/16", "podCIDRs": ["10.244.0.0/16"]},
            "status": {"addresses": [{"type": "InternalIP", "address": NODE.to_string()},
                    {"type": "Hostname", "address": NODE_NAME}],
                "capacity": capacity, "allocatable": capacity,
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]},
        }),
    )
}

/// What the demo profile adds to the chart's defaults: without it no waypoint writes an access log, and nobody learns why a
/// request was denied.
fn mesh_config() -> Object {
    Object::ours(
        &CONFIG_MAP,
        ISTIO_SYSTEM,
        "istio",
        json!({"data": {"mesh": "accessLogFile: /dev/stdout\n"}}),
    )
}

fn istiod() -> Vec<Object> {
    let ports = [("https-dns", 15012), ("http-monitoring", 15014)];
    let service_ports: Value = ports
        .iter()
        .map(|(name, port)| json!({"name": name, "port": port, "targetPort": port, "protocol": "TCP"}))
        .collect();
    let slice_ports: Value =
        ports.iter().map(|(name, port)| json!({"name": name, "port": port, "protocol": "TCP"})).collect();
    vec![
        Object::ours(
            &SERVICE,
            ISTIO_SYSTEM,
            "istiod",
            json!({"metadata": {"labels": {"app": "istiod", "istio": "pilot", "istio.io/rev": "default"}},
                "spec": {"type": "ClusterIP", "clusterIP": ISTIOD_VIP.to_string(), "ports": service_ports}}),
        ),
        Object::ours(
            &ENDPOINT_SLICE,
            ISTIO_SYSTEM,
            "istiod-node",
            json!({"metadata": {"labels": {SERVICE_LABEL: "istiod",
                    "endpointslice.kubernetes.io/managed-by": "fairway.dev"}},
                "addressType": "IPv4", "ports": slice_ports,
                "endpoints": [{"addresses": [NODE.to_string()], "nodeName": NODE_NAME,
                    "conditions": {"ready": true, "serving": true, "terminating": false}}]}),
        ),
    ]
}

fn ingress() -> Object {
    let labels = json!({"app": INGRESS, "service.istio.io/canonical-name": INGRESS});
    Object::ours(
        &DEPLOYMENT,
        INGRESS_NAMESPACE,
        INGRESS,
        json!({"spec": {"replicas": 1, "selector": {"matchLabels": {"app": INGRESS}},
            "template": {"metadata": {"labels": labels}, "spec": {"serviceAccountName": INGRESS,
                "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "ingress", "image": "fairway/ingress"}]}}}}),
    )
}

fn ztunnel() -> Object {
    let field =
        |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let value = |name: &str, value: &str| json!({"name": name, "value": value});
    let env = json!([
        value("CA_ADDRESS", "istiod.istio-system.svc:15012"),
        value("XDS_ADDRESS", "istiod.istio-system.svc:15012"),
        value("RUST_LOG", "info"),
        value("RUST_BACKTRACE", "1"),
        value("ISTIO_META_CLUSTER_ID", "Kubernetes"),
        value("INPOD_ENABLED", "true"),
        value("TERMINATION_GRACE_PERIOD_SECONDS", "30"),
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("NODE_NAME", "spec.nodeName"),
        field("INSTANCE_IP", "status.podIP"),
        field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        value("ISTIO_META_ENABLE_HBONE", "true"),
        {"name": "ZTUNNEL_CPU_LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1"}}},
    ]);
    let container = json!({
        "name": "istio-proxy", "image": "docker.io/istio/ztunnel:latest", "args": ["proxy", "ztunnel"], "env": env,
        "ports": [{"containerPort": 15020, "name": "ztunnel-stats", "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"port": 15021, "path": "/healthz/ready"}},
        "volumeMounts": [{"mountPath": "/var/run/secrets/istio", "name": "istiod-ca-cert"},
            {"mountPath": "/var/run/secrets/tokens", "name": "istio-token"},
            {"mountPath": ZTUNNEL_RUN, "name": "cni-ztunnel-sock-dir"}, {"mountPath": "/tmp", "name": "tmp"}],
    });
    let volumes = json!([
        {"name": "istio-token", "projected": {"sources": [{"serviceAccountToken":
            {"path": "istio-token", "expirationSeconds": 43200, "audience": "istio-ca"}}]}},
        {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
        {"name": "cni-ztunnel-sock-dir", "hostPath": {"path": ZTUNNEL_RUN, "type": "DirectoryOrCreate"}},
        {"name": "tmp", "emptyDir": {}},
    ]);
    let labels = json!({"sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none", "app": "ztunnel",
        "app.kubernetes.io/name": "ztunnel"});
    Object::ours(
        &DAEMON_SET,
        ISTIO_SYSTEM,
        "ztunnel",
        json!({"metadata": {"labels": {"app.kubernetes.io/name": "ztunnel"}},
            "spec": {"selector": {"matchLabels": {"app": "ztunnel"}},
                "template": {"metadata": {"labels": labels, "annotations": {"sidecar.istio.io/inject": "false"}},
                    "spec": {"serviceAccountName": "ztunnel", "terminationGracePeriodSeconds": 30,
                        "containers": [container], "volumes": volumes}}}}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::typed;

    #[test]
    fn built_in_objects_have_no_unknown_fields() {
        let machine = Machine { cpus: 2, memory: 1 << 30 };
        for object in objects(machine, true) {
            typed::check(&object).unwrap_or_else(|e| panic!("{}: {e}", object.key));
        }
        assert!(objects(machine, false).iter().all(|o| !o.key.is(&DAEMON_SET)));
    }
}
