//! What an API server does to an object on its way in: identity, defaults, and what the cluster has filled in stays.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::addresses::{ISTIOD_VIP, Pool};
use super::{Now, Store};
use crate::manifest::kinds::{DAEMON_SET, DEPLOYMENT, NAMESPACE, POD, SERVICE, STATEFUL_SET};
use crate::manifest::object::FieldError;
use crate::manifest::{Key, Object};

/// Set on a pod template by `restart`, as `kubectl rollout restart` does.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// The object as it will be stored; or the field that is wrong with it.
pub fn admit(mut new: Object, store: &Store, vips: &mut Pool, now: &mut Now) -> Result<Object, FieldError> {
    let old = store.get(&new.key);
    if old.is_some_and(Object::is_terminating) {
        return Err(FieldError::new(
            "metadata.deletionTimestamp",
            "the object is being deleted; try again when it is gone",
        ));
    }
    if !new.key.namespace.is_empty() && store.find(&NAMESPACE, "", &new.key.namespace).is_none() {
        let message = format!("namespace {:?} not found", new.key.namespace);
        return Err(FieldError::new("metadata.namespace", message));
    }
    identify(&mut new, old, now);
    if new.key.is(&SERVICE) {
        service(&mut new, old, vips)?;
    } else if new.key.is(&NAMESPACE) {
        let name = new.key.name.clone();
        new.metadata_map("labels").insert("kubernetes.io/metadata.name".into(), name.into());
    } else if new.key.is(&POD) {
        pod(&mut new, old)?;
    } else if [DEPLOYMENT, STATEFUL_SET, DAEMON_SET].iter().any(|kind| new.key.is(kind)) {
        workload(&mut new, old)?;
    }
    Ok(new)
}

/// Identity and status belong to the cluster: kept from the old version, made for a new object.
fn identify(new: &mut Object, old: Option<&Object>, now: &mut Now) {
    if let Some(metadata) = new.json["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "selfLink", "deletionTimestamp"] {
            metadata.remove(field);
        }
    }
    let (uid, created, generation) = match old {
        Some(old) => {
            let same = old.json.get("spec") == new.json.get("spec");
            let generation = old.json["metadata"]["generation"].as_i64().unwrap_or(1) + i64::from(!same);
            (old.uid().to_owned(), old.str("/metadata/creationTimestamp").to_owned(), generation)
        }
        None => (now.uid(), now.rfc3339(), 1),
    };
    let status = old.and_then(|old| old.json.get("status")).cloned();
    let object = new.json.as_object_mut().expect("an Object's JSON is a map");
    match status {
        Some(status) => object.insert("status".into(), status),
        None => object.shift_remove("status"),
    };
    new.json["metadata"]["uid"] = uid.into();
    new.json["metadata"]["creationTimestamp"] = created.into();
    new.json["metadata"]["generation"] = generation.into();
}

fn service(new: &mut Object, old: Option<&Object>, vips: &mut Pool) -> Result<(), FieldError> {
    let spec = new.json["spec"].as_object_mut().ok_or_else(|| FieldError::new("spec", "is required"))?;
    let mut default = |field: &str, value: Value| {
        if spec.get(field).is_none_or(Value::is_null) {
            spec.insert(field.to_owned(), value);
        }
    };
    default("type", "ClusterIP".into());
    default("sessionAffinity", "None".into());
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        if port["protocol"].is_null() {
            port["protocol"] = "TCP".into();
        }
        if port["targetPort"].is_null() {
            port["targetPort"] = port["port"].clone();
        }
    }
    if spec["type"] == "ExternalName" {
        return Ok(());
    }
    let kept = old.map(|old| old.str("/spec/clusterIP").to_owned()).filter(|ip| !ip.is_empty());
    let asked = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
    let address = cluster_ip(&asked, kept, vips)?;
    spec.insert("clusterIP".into(), address.clone().into());
    spec.insert("clusterIPs".into(), json!([address]));
    for (field, value) in [
        ("ipFamilies", json!(["IPv4"])),
        ("ipFamilyPolicy", json!("SingleStack")),
        ("internalTrafficPolicy", json!("Cluster")),
    ] {
        spec.insert(field.to_owned(), value);
    }
    Ok(())
}

fn cluster_ip(asked: &str, kept: Option<String>, vips: &mut Pool) -> Result<String, FieldError> {
    let wrong = |e: &dyn std::fmt::Display| FieldError::new("spec.clusterIP", e.to_string());
    match (asked, kept) {
        ("", Some(kept)) => Ok(kept),
        ("", None) => Ok(vips.take().map_err(|e| wrong(&e))?.to_string()),
        (asked, Some(kept)) if asked == kept => Ok(kept),
        (_, Some(_)) => Err(FieldError::new("spec.clusterIP", "field is immutable")),
        ("None", None) => Ok("None".to_owned()),
        (asked, None) => {
            let address: Ipv4Addr = asked.parse().map_err(|e| wrong(&e))?;
            if address != ISTIOD_VIP {
                vips.claim(address).map_err(|e| wrong(&e))?;
            }
            Ok(asked.to_owned())
        }
    }
}

fn pod(new: &mut Object, old: Option<&Object>) -> Result<(), FieldError> {
    complete_pod_spec(&mut new.json["spec"]);
    let changed = old.is_some_and(|old| old.json["spec"] != new.json["spec"]);
    if changed {
        return Err(FieldError::new("spec", "a pod's spec is immutable; delete the pod first"));
    }
    Ok(())
}

fn workload(new: &mut Object, old: Option<&Object>) -> Result<(), FieldError> {
    let selector = new.strings("/spec/selector/matchLabels");
    let labels = new.strings("/spec/template/metadata/labels");
    if selector.is_empty() {
        return Err(FieldError::new("spec.selector.matchLabels", "is required"));
    }
    if !selector.iter().all(|(k, v)| labels.get(k) == Some(v)) {
        let message = "`selector` does not match template `labels`";
        return Err(FieldError::new("spec.template.metadata.labels", message));
    }
    if let Some(old) = old {
        if old.strings("/spec/selector/matchLabels") != selector {
            return Err(FieldError::new("spec.selector", "field is immutable"));
        }
        // kubectl's three-way merge keeps what the manifest never mentioned; a restart must not be undone by apply.
        let pointer = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
        if let (Some(at), None) = (old.json.pointer(pointer), new.json.pointer(pointer)) {
            new.json["spec"]["template"]["metadata"]["annotations"][RESTARTED_AT] = at.clone();
        }
    }
    if new.json["spec"]["replicas"].is_null() && !new.key.is(&DAEMON_SET) {
        new.json["spec"]["replicas"] = 1.into();
    }
    Ok(())
}

/// Kubernetes' defaults of a pod spec, as far as anyone here or istiod reads them.
pub fn complete_pod_spec(spec: &mut Value) {
    let account = spec["serviceAccountName"].as_str().or_else(|| spec["serviceAccount"].as_str());
    spec["serviceAccountName"] = account.unwrap_or("default").into();
    spec["nodeName"] = super::addresses::NODE_NAME.into();
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
    ] {
        if spec[field].is_null() {
            spec[field] = value;
        }
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                if port["protocol"].is_null() {
                    port["protocol"] = "TCP".into();
                }
            }
        }
    }
}

/// Whether two objects are the same but for what the cluster fills in.
#[must_use]
pub fn unchanged(old: &Object, new: &Object) -> bool {
    let strip = |object: &Object| {
        let mut json = object.json.clone();
        if let Some(metadata) = json["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
            metadata.remove("generation");
        }
        json
    };
    strip(old) == strip(new)
}

/// The key of the namespace an object lies in.
#[must_use]
pub fn namespace_key(object: &Object) -> Key {
    Key::new(&NAMESPACE, "", &object.key.namespace)
}

#[cfg(test)]
mod tests;
