//! The controllers of Kubernetes, run one after the other until nothing changes. Objects in, objects out; no IO.

use serde_json::json;

use super::addresses::Pool;
use super::{Now, Store, endpoints, gateway, workloads};
use crate::manifest::kinds::{CONFIG_MAP, NAMESPACE, SERVICE_ACCOUNT};
use crate::manifest::{Key, Object};

pub const ROOT_CERT: &str = "istio-ca-root-cert";
/// More rounds than any chain of consequences is long (Gateway → Deployment → pods → endpoints → status).
const ROUNDS: usize = 16;

/// What the controllers know beside the objects.
#[derive(Debug)]
pub struct Controllers {
    pub vips: Pool,
    /// istiod's root certificate, once it is up.
    pub root_cert: Option<String>,
    /// Without istiod a waypoint would wait for ever, so Gateways get nothing.
    pub mesh: bool,
}

impl Default for Controllers {
    fn default() -> Self {
        Self { vips: Pool::services(), root_cert: None, mesh: true }
    }
}

impl Controllers {
    /// Brings the objects to where nothing is left to do until something happens outside.
    pub fn reconcile(&mut self, store: &mut Store, now: &mut Now) {
        for _ in 0..ROUNDS {
            let before = fingerprint(store);
            self.namespaces(store, now);
            if self.mesh {
                gateway::reconcile(store, &mut self.vips, now);
            }
            workloads::reconcile(store, now);
            endpoints::reconcile(store);
            if fingerprint(store) == before {
                return;
            }
        }
        tracing::warn!("the controllers did not come to rest; going on at the next event");
    }

    /// Every namespace has its default account and, with istiod, the mesh's root certificate; ends when it is emptied.
    fn namespaces(&self, store: &mut Store, now: &mut Now) {
        let namespaces: Vec<Object> = store.of_kind(&NAMESPACE).cloned().collect();
        for namespace in namespaces {
            let name = namespace.key.name.as_str();
            if namespace.is_terminating() {
                self.empty(store, &namespace.key, now);
                continue;
            }
            if store.find(&SERVICE_ACCOUNT, name, "default").is_none() {
                let identity = json!({"metadata": {"uid": now.uid(), "creationTimestamp": now.rfc3339()}});
                store.put(Object::ours(&SERVICE_ACCOUNT, name, "default", identity));
            }
            let Some(root) = &self.root_cert else { continue };
            let key = Key::new(&CONFIG_MAP, name, ROOT_CERT);
            if store.get(&key).is_none_or(|map| map.str("/data/root-cert.pem") != root) {
                let old = store.get(&key).map_or_else(
                    || json!({"uid": now.uid(), "creationTimestamp": now.rfc3339()}),
                    |o| o.json["metadata"].clone(),
                );
                let json = json!({"metadata": old, "data": {"root-cert.pem": root}});
                store.put(Object::ours(&CONFIG_MAP, name, ROOT_CERT, json));
            }
        }
    }

    fn empty(&self, store: &mut Store, namespace: &Key, now: &mut Now) {
        let inside: Vec<Object> =
            store.all().filter(|o| o.key.namespace == namespace.name).cloned().collect();
        if inside.is_empty() {
            store.remove(namespace);
        }
        for object in inside {
            if object.key.kind == "Pod" {
                workloads::mark_deleted(store, &object.key, now);
            } else {
                store.remove(&object.key);
            }
        }
    }

    /// Begins the end of an object: pods and namespaces take their time, everything else is gone at once.
    pub fn delete(&mut self, store: &mut Store, key: &Key, now: &Now) -> bool {
        let Some(object) = store.get(key) else { return false };
        match key.kind.as_str() {
            "Pod" => workloads::mark_deleted(store, key, now),
            "Namespace" => {
                store.edit(key, |o| {
                    o.json["metadata"]["deletionTimestamp"] = now.rfc3339().into();
                    o.json["status"]["phase"] = "Terminating".into();
                });
            }
            _ => {
                if let Ok(address) = object.str("/spec/clusterIP").parse() {
                    self.vips.free(address);
                }
                store.remove(key);
            }
        }
        true
    }
}

/// Changes with every write.
fn fingerprint(store: &Store) -> (usize, u64) {
    let versions = store.all().filter_map(|o| o.str("/metadata/resourceVersion").parse::<u64>().ok());
    let (mut count, mut newest) = (0, 0);
    for version in versions {
        count += 1;
        newest = newest.max(version);
    }
    (count, newest)
}

#[cfg(test)]
mod tests;
