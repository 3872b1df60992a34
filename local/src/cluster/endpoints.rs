//! EndpointSlices of Services, and what kube-proxy makes of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};

use serde_json::{Value, json};
use xxhash_rust::xxh64::xxh64;

use super::Store;
use super::addresses::NODE_NAME;
use super::names::suffix;
use super::workloads::is_ready;
use crate::manifest::kinds::{ENDPOINT_SLICE, POD, SERVICE};
use crate::manifest::{Key, Object};
use crate::node::services::{Protocol, ServiceVip};

pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// Writes the slices of all Services that select pods, and removes those nobody needs any more.
pub fn reconcile(store: &mut Store) {
    let wanted: Vec<Object> = store.of_kind(&SERVICE).flat_map(|service| slices(store, service)).collect();
    let names: BTreeSet<Key> = wanted.iter().map(|slice| slice.key.clone()).collect();
    let stale: Vec<Key> = store
        .of_kind(&ENDPOINT_SLICE)
        .filter(|s| s.label(MANAGED_BY) == Some(CONTROLLER) && !names.contains(&s.key))
        .map(|s| s.key.clone())
        .collect();
    for key in stale {
        store.remove(&key);
    }
    for mut slice in wanted {
        // The uid stays with the name; it need not be random, only unique.
        slice.json["metadata"]["uid"] = slice.key.to_string().into();
        store.put(slice);
    }
}

/// The slices of one Service. Pods whose named target ports differ go to separate slices, as in Kubernetes.
#[must_use]
pub fn slices(store: &Store, service: &Object) -> Vec<Object> {
    let selector = service.strings("/spec/selector");
    if selector.is_empty() || service.str("/spec/type") == "ExternalName" {
        return Vec::new();
    }
    let mut groups: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
    for pod in store.of_kind(&POD) {
        let labels = pod.strings("/metadata/labels");
        let selected = pod.key.namespace == service.key.namespace
            && selector.iter().all(|(k, v)| labels.get(k) == Some(v))
            && !pod.str("/status/podIP").is_empty()
            && !matches!(pod.str("/status/phase"), "Succeeded" | "Failed");
        if selected {
            let ports = ports(service, pod);
            groups
                .entry(ports.to_string())
                .or_insert_with(|| (ports, Vec::new()))
                .1
                .push(endpoint(service, pod));
        }
    }
    if groups.is_empty() {
        groups.insert(String::new(), (json!([]), Vec::new()));
    }
    let groups = groups.into_values().enumerate();
    groups.map(|(index, (ports, endpoints))| slice(service, index, &ports, &endpoints)).collect()
}

fn slice(service: &Object, index: usize, ports: &Value, endpoints: &[Value]) -> Object {
    let (namespace, name) = (&service.key.namespace, &service.key.name);
    let hash = suffix(xxh64(format!("{namespace}/{name}/{index}").as_bytes(), 0), 5);
    let mut labels = json!({SERVICE_LABEL: name, MANAGED_BY: CONTROLLER});
    if service.str("/spec/clusterIP") == "None" {
        labels["service.kubernetes.io/headless"] = "".into();
    }
    let json = json!({
        "metadata": {"labels": labels, "generateName": format!("{name}-"), "ownerReferences": [{
            "apiVersion": "v1", "kind": "Service", "name": name, "uid": service.uid(),
            "controller": true, "blockOwnerDeletion": true}]},
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    });
    Object::ours(&ENDPOINT_SLICE, namespace, &format!("{name}-{hash}"), json)
}

fn endpoint(service: &Object, pod: &Object) -> Value {
    let publish = service.json["spec"]["publishNotReadyAddresses"].as_bool().unwrap_or_default();
    let (serving, terminating) = (is_ready(pod), pod.is_terminating());
    let mut endpoint = json!({
        "addresses": [pod.str("/status/podIP")],
        "conditions": {"ready": publish || (serving && !terminating), "serving": serving, "terminating": terminating},
        "nodeName": NODE_NAME,
        "targetRef": {"kind": "Pod", "namespace": pod.key.namespace, "name": pod.key.name, "uid": pod.uid()},
    });
    if pod.str("/spec/subdomain") == service.key.name && !pod.str("/spec/hostname").is_empty() {
        endpoint["hostname"] = pod.str("/spec/hostname").into();
    }
    endpoint
}

fn ports(service: &Object, pod: &Object) -> Value {
    let resolved = service.array("/spec/ports").iter().filter_map(|port| {
        let number = target_port(&port["targetPort"], pod)?;
        let name = port["name"].as_str().unwrap_or_default();
        let mut entry = json!({"name": name, "port": number, "protocol": port["protocol"]});
        if let Some(protocol) = port["appProtocol"].as_str() {
            entry["appProtocol"] = protocol.into();
        }
        Some(entry)
    });
    resolved.collect()
}

fn target_port(target: &Value, pod: &Object) -> Option<u64> {
    match target {
        Value::String(name) => match name.parse() {
            Ok(number) => Some(number),
            Err(_) => named_port(pod, name),
        },
        target => target.as_u64(),
    }
}

/// The number of a container port, by name.
#[must_use]
pub fn named_port(pod: &Object, name: &str) -> Option<u64> {
    let containers = pod.array("/spec/containers").iter();
    let mut ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    ports.find(|p| p["name"] == *name)?["containerPort"].as_u64()
}

/// What kube-proxy would program: ready endpoints, else those that end but still serve.
#[must_use]
pub fn vips(store: &Store) -> Vec<ServiceVip> {
    let mut list = Vec::new();
    let slices = SlicesByService::of(store);
    for service in store.of_kind(&SERVICE) {
        let Ok(vip) = service.str("/spec/clusterIP").parse::<Ipv4Addr>() else { continue };
        for port in service.array("/spec/ports") {
            let (Some(number), Some(protocol)) = (port["port"].as_u64(), protocol(&port["protocol"])) else {
                continue;
            };
            let name = port["name"].as_str().unwrap_or_default();
            let endpoints = endpoints(slices.get(service), name);
            list.push(ServiceVip { vip, port: number as u16, protocol, endpoints });
        }
    }
    list
}

fn protocol(value: &Value) -> Option<Protocol> {
    match value.as_str().unwrap_or("TCP") {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        _ => None,
    }
}

fn endpoints(slices: &[&Object], port: &str) -> Vec<SocketAddrV4> {
    let (mut ready, mut ending) = (Vec::new(), Vec::new());
    for slice in slices {
        let Some(number) =
            slice.array("/ports").iter().find(|p| p["name"].as_str().unwrap_or_default() == port)
        else {
            continue;
        };
        let number = number["port"].as_u64().unwrap_or_default() as u16;
        for endpoint in slice.array("/endpoints") {
            let addresses = endpoint["addresses"].as_array().into_iter().flatten();
            let addresses = addresses.filter_map(|a| a.as_str()?.parse().ok());
            let conditions = &endpoint["conditions"];
            let list = match (conditions["ready"].as_bool().unwrap_or(true), conditions["serving"] == true) {
                (true, _) => &mut ready,
                (false, true) => &mut ending,
                (false, false) => continue,
            };
            list.extend(addresses.map(|a| SocketAddrV4::new(a, number)));
        }
    }
    if ready.is_empty() { ending } else { ready }
}

/// All slices by the Service they belong to, also those of the user; made once where many Services are looked at.
#[derive(Debug)]
pub struct SlicesByService<'s>(HashMap<(&'s str, &'s str), Vec<&'s Object>>);

impl<'s> SlicesByService<'s> {
    #[must_use]
    pub fn of(store: &'s Store) -> Self {
        let mut slices: HashMap<_, Vec<_>> = HashMap::new();
        for slice in store.of_kind(&ENDPOINT_SLICE) {
            if let Some(service) = slice.label(SERVICE_LABEL) {
                slices.entry((slice.key.namespace.as_str(), service)).or_default().push(slice);
            }
        }
        Self(slices)
    }

    #[must_use]
    pub fn get<'a>(&'a self, service: &'a Object) -> &'a [&'s Object] {
        self.0.get(&(service.key.namespace.as_str(), service.key.name.as_str())).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
