//! Gateways of class `istio-waypoint`: their ServiceAccount, Deployment and Service.
//!
//! Labels, annotations, arguments, environment and volumes are those of istiod's template
//! (`manifests/charts/istio-control/istio-discovery/files/waypoint.yaml`) with the ambient profile's values, so that a
//! waypoint cannot tell this machine from a cluster. Status is istiod's to write.

use serde_json::{Map, Value, json};

use super::addresses::Pool;
use super::admission::{admit, unchanged};
use super::{Now, Store};
use crate::manifest::kinds::{DEPLOYMENT, GATEWAY, Kind, SERVICE, SERVICE_ACCOUNT};
use crate::manifest::object::strings;
use crate::manifest::{Key, Object};

pub const WAYPOINT_CLASS: &str = "istio-waypoint";
pub const NAME_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
const CLASS_LABEL: &str = "gateway.networking.k8s.io/gateway-class-name";
const NETWORK_LABEL: &str = "topology.istio.io/network";
const DEFAULT_IMAGE: &str = "docker.io/istio/proxyv2:latest";
/// Not handed down from the Gateway to what is made for it.
const OWN_ANNOTATIONS: [&str; 4] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "gateway.istio.io/name-override",
    "gateway.istio.io/service-account",
    "gateway.istio.io/controller-version",
];

/// Writes what waypoints need and removes what lost its Gateway.
pub fn reconcile(store: &mut Store, vips: &mut Pool, now: &mut Now) {
    let gateways: Vec<Object> = store.of_kind(&GATEWAY).filter(|g| is_managed_waypoint(g)).cloned().collect();
    for wanted in gateways.iter().flat_map(objects) {
        // What somebody scaled or restarted stays so.
        let wanted = keep_user_changes(wanted, store);
        match admit(wanted, store, vips, now) {
            Ok(object) => {
                if store.get(&object.key).is_none_or(|old| !unchanged(old, &object)) {
                    store.put(object);
                }
            }
            Err(error) => tracing::warn!(%error, "a waypoint's object was refused"),
        }
    }
    for kind in [&DEPLOYMENT, &SERVICE, &SERVICE_ACCOUNT] {
        let orphans: Vec<Key> =
            store.of_kind(kind).filter(|o| is_orphan(store, o)).map(|o| o.key.clone()).collect();
        for key in orphans {
            if let Some(address) = store.remove(&key).and_then(|o| o.str("/spec/clusterIP").parse().ok()) {
                vips.free(address);
            }
        }
    }
}

/// A waypoint that fairway runs: of the class, and without an address of its own.
#[must_use]
pub fn is_managed_waypoint(gateway: &Object) -> bool {
    gateway.str("/spec/gatewayClassName") == WAYPOINT_CLASS
        && gateway.array("/spec/addresses").is_empty()
        && !gateway.is_terminating()
}

fn is_orphan(store: &Store, object: &Object) -> bool {
    object.array("/metadata/ownerReferences").iter().any(|reference| {
        let name = reference["name"].as_str().unwrap_or_default();
        let owner = store.find(&GATEWAY, &object.key.namespace, name).filter(|g| is_managed_waypoint(g));
        reference["kind"] == "Gateway" && owner.is_none_or(|gateway| reference["uid"] != gateway.uid())
    })
}

fn keep_user_changes(mut wanted: Object, store: &Store) -> Object {
    if let Some(replicas) = store.get(&wanted.key).and_then(|old| old.json.pointer("/spec/replicas"))
        && wanted.key.is(&DEPLOYMENT)
    {
        wanted.json["spec"]["replicas"] = replicas.clone();
    }
    wanted
}

fn objects(gateway: &Object) -> Vec<Object> {
    let name = gateway.annotation("gateway.istio.io/name-override").unwrap_or(&gateway.key.name);
    let account = gateway.annotation("gateway.istio.io/service-account").unwrap_or(name);
    let parts = Parts {
        gateway,
        name,
        account,
        labels: infrastructure_labels(gateway),
        annotations: annotations(gateway),
    };
    vec![
        parts.object(&SERVICE_ACCOUNT, account, json!({}), &parts.identity(&json!({})), &parts.annotations),
        parts.deployment(),
        parts.service(),
    ]
}

struct Parts<'a> {
    gateway: &'a Object,
    name: &'a str,
    account: &'a str,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
}

fn infrastructure_labels(gateway: &Object) -> Map<String, Value> {
    let own = gateway
        .json
        .pointer("/spec/infrastructure/labels")
        .or_else(|| gateway.json.pointer("/metadata/labels"));
    strings(own).into_iter().map(|(k, v)| (k, v.into())).collect()
}

fn annotations(gateway: &Object) -> Map<String, Value> {
    let mut all = gateway.strings("/metadata/annotations");
    all.extend(gateway.strings("/spec/infrastructure/annotations"));
    all.retain(|name, _| !OWN_ANNOTATIONS.contains(&name.as_str()));
    all.into_iter().map(|(k, v)| (k, v.into())).collect()
}

fn merged(mut base: Map<String, Value>, over: &Value) -> Map<String, Value> {
    base.extend(over.as_object().cloned().unwrap_or_default());
    base
}

impl Parts<'_> {
    fn identity(&self, more: &Value) -> Map<String, Value> {
        let identity = json!({NAME_LABEL: self.gateway.key.name, CLASS_LABEL: self.gateway.str("/spec/gatewayClassName")});
        merged(merged(self.labels.clone(), &identity), more)
    }

    fn object(
        &self,
        kind: &Kind,
        name: &str,
        mut json: Value,
        labels: &Map<String, Value>,
        annotations: &Map<String, Value>,
    ) -> Object {
        json["metadata"] = json!({"labels": labels, "annotations": annotations, "ownerReferences": [{
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "name": self.gateway.key.name, "uid": self.gateway.uid()}]});
        Object::ours(kind, &self.gateway.key.namespace, name, json)
    }

    fn service(&self) -> Object {
        let mut ports =
            vec![json!({"name": "status-port", "port": 15021, "protocol": "TCP", "appProtocol": "tcp"})];
        for listener in self.gateway.array("/spec/listeners") {
            if ports.iter().all(|p| p["port"] != listener["port"]) {
                let protocol = listener["protocol"].as_str().unwrap_or_default().to_lowercase();
                ports.push(json!({"name": listener["name"], "port": listener["port"], "protocol": "TCP",
                    "appProtocol": protocol}));
            }
        }
        let spec = json!({"spec": {"type": "ClusterIP", "ports": ports, "selector": {NAME_LABEL: self.gateway.key.name}}});
        let nearest = json!({"networking.istio.io/traffic-distribution": "PreferClose"});
        let annotations = merged(self.annotations.clone(), &nearest);
        self.object(&SERVICE, self.name, spec, &self.identity(&json!({})), &annotations)
    }

    fn deployment(&self) -> Object {
        let managed = json!({"gateway.istio.io/managed": "istio.io-mesh-controller"});
        let labels = self.identity(&managed);
        let mut pod_labels = Map::new();
        for (k, v) in [
            ("sidecar.istio.io/inject", "false"),
            ("istio.io/dataplane-mode", "none"),
            ("service.istio.io/canonical-name", self.name),
            ("service.istio.io/canonical-revision", "latest"),
        ] {
            pod_labels.insert(k.to_owned(), v.into());
        }
        pod_labels.extend(labels.clone());
        let pod_annotations = merged(
            self.annotations.clone(),
            &json!({"istio.io/rev": "default", "prometheus.io/path": "/stats/prometheus",
                "prometheus.io/port": "15020", "prometheus.io/scrape": "true"}),
        );
        let spec = json!({"spec": {
            "replicas": 1, "selector": {"matchLabels": {NAME_LABEL: self.gateway.key.name}},
            "template": {"metadata": {"labels": pod_labels, "annotations": pod_annotations},
                "spec": {"serviceAccountName": self.account, "terminationGracePeriodSeconds": 30,
                    "containers": [self.container()], "volumes": volumes()}}}});
        self.object(&DEPLOYMENT, self.name, spec, &labels, &self.annotations)
    }

    fn container(&self) -> Value {
        let level = |annotation: &str, default: &str| {
            self.gateway.annotation(annotation).unwrap_or(default).to_owned()
        };
        let image =
            self.gateway.annotation("sidecar.istio.io/proxyImage").filter(|image| image.contains('/'));
        json!({
            "name": "istio-proxy", "image": image.unwrap_or(DEFAULT_IMAGE),
            "args": ["proxy", "waypoint", "--domain", "$(POD_NAMESPACE).svc.cluster.local",
                "--serviceCluster", format!("{}.$(POD_NAMESPACE)", self.account),
                "--proxyLogLevel", level("sidecar.istio.io/logLevel", "warning"),
                "--proxyComponentLogLevel", level("sidecar.istio.io/componentLogLevel", "misc:error"),
                "--log_output_level", level("sidecar.istio.io/agentLogLevel", "default:info")],
            "ports": [{"containerPort": 15020, "name": "metrics", "protocol": "TCP"},
                {"containerPort": 15021, "name": "status-port", "protocol": "TCP"},
                {"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"}],
            "env": self.env(),
            "startupProbe": {"failureThreshold": 30, "httpGet": {"path": "/healthz/ready", "port": 15021},
                "initialDelaySeconds": 1, "periodSeconds": 1, "successThreshold": 1, "timeoutSeconds": 1},
            "readinessProbe": {"failureThreshold": 4, "httpGet": {"path": "/healthz/ready", "port": 15021},
                "initialDelaySeconds": 0, "periodSeconds": 15, "successThreshold": 1, "timeoutSeconds": 1},
            "volumeMounts": [
                {"mountPath": "/var/run/secrets/workload-spiffe-uds", "name": "workload-socket"},
                {"mountPath": "/var/run/secrets/istio", "name": "istiod-ca-cert"},
                {"mountPath": "/var/lib/istio/data", "name": "istio-data"},
                {"mountPath": "/etc/istio/proxy", "name": "istio-envoy"},
                {"mountPath": "/var/run/secrets/tokens", "name": "istio-token"},
                {"mountPath": "/etc/istio/pod", "name": "istio-podinfo"}],
        })
    }

    fn env(&self) -> Value {
        let field =
            |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
        let value = |name: &str, value: String| json!({"name": name, "value": value});
        let limit = |name: &str, resource: &str| json!({"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": "1"}}});
        let namespace = &self.gateway.key.namespace;
        let proxy_config = json!({"discoveryAddress": "istiod.istio-system.svc:15012",
            "proxyMetadata": {"ISTIO_META_ENABLE_HBONE": "true"}, "image": {"imageType": "distroless"}});
        let mut env = vec![
            field("ISTIO_META_SERVICE_ACCOUNT", "spec.serviceAccountName"),
            field("ISTIO_META_NODE_NAME", "spec.nodeName"),
            value("PILOT_CERT_PROVIDER", "istiod".into()),
            value("CA_ADDR", "istiod.istio-system.svc:15012".into()),
            field("POD_NAME", "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
            field("INSTANCE_IP", "status.podIP"),
            field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
            field("HOST_IP", "status.hostIP"),
            limit("ISTIO_CPU_LIMIT", "limits.cpu"),
            value("PROXY_CONFIG", proxy_config.to_string()),
            value("ISTIO_META_ENABLE_HBONE", "true".into()),
            limit("GOMEMLIMIT", "limits.memory"),
            limit("GOMAXPROCS", "limits.cpu"),
            value("ISTIO_META_CLUSTER_ID", "Kubernetes".into()),
        ];
        if let Some(network) = self.labels.get(NETWORK_LABEL).and_then(Value::as_str) {
            env.push(value("ISTIO_META_NETWORK", network.to_owned()));
        }
        env.extend([
            value("ISTIO_META_INTERCEPTION_MODE", "REDIRECT".into()),
            value("ISTIO_META_WORKLOAD_NAME", self.name.to_owned()),
            value(
                "ISTIO_META_OWNER",
                format!("kubernetes://apis/apps/v1/namespaces/{namespace}/deployments/{}", self.name),
            ),
            value("ISTIO_META_MESH_ID", "cluster.local".into()),
            value("TRUST_DOMAIN", "cluster.local".into()),
        ]);
        env.into()
    }
}

fn volumes() -> Value {
    json!([
        {"name": "workload-socket", "emptyDir": {}},
        {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
        {"name": "istio-data", "emptyDir": {}},
        {"name": "istio-podinfo", "downwardAPI": {"items": [
            {"fieldRef": {"fieldPath": "metadata.labels"}, "path": "labels"},
            {"fieldRef": {"fieldPath": "metadata.annotations"}, "path": "annotations"}]}},
        {"name": "istio-token", "projected": {"sources": [{"serviceAccountToken":
            {"audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token"}}]}},
        {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
    ])
}

#[cfg(test)]
mod tests;
