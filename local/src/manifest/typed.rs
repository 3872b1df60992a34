//! Typed views of the kinds fairway acts on; a field it does not know, or of the wrong type, is an error that names it.

use gateway_api::apis::standard::gateways::Gateway;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::object::{FieldError, Object};

/// The object as its type; errors name the field.
pub fn view<T: DeserializeOwned>(json: &Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(json).map_err(|e| {
        let path = e.path().to_string();
        FieldError::new(path, e.into_inner().to_string())
    })
}

/// What `kubectl apply` validates strictly: types and unknown fields. Kinds of others are checked by istiod.
pub fn check(object: &Object) -> Result<(), FieldError> {
    let json = &object.json;
    match (object.key.group.as_str(), object.key.kind.as_str()) {
        ("", "Namespace") => strict::<Namespace>(json),
        ("", "Pod") => strict::<Pod>(json),
        ("", "Service") => strict::<Service>(json),
        ("", "ServiceAccount") => strict::<ServiceAccount>(json),
        ("", "ConfigMap") => strict::<ConfigMap>(json),
        ("", "Secret") => strict::<Secret>(json),
        ("apps", "Deployment") => strict::<Deployment>(json),
        ("apps", "DaemonSet") => strict::<DaemonSet>(json),
        ("apps", "StatefulSet") => strict::<StatefulSet>(json),
        ("discovery.k8s.io", "EndpointSlice") => strict::<EndpointSlice>(json),
        ("gateway.networking.k8s.io", "Gateway") => strict::<Gateway>(json),
        _ => Ok(()),
    }
}

fn strict<T: DeserializeOwned>(json: &Value) -> Result<(), FieldError> {
    view::<T>(json)?;
    let mut unknown = None;
    let noted: Result<T, _> = serde_ignored::deserialize(json, |path| {
        unknown.get_or_insert_with(|| path.to_string());
    });
    debug_assert!(noted.is_ok(), "the same value was read a moment ago");
    match unknown.map(|path| clean(&path)).filter(|path| !top_level(path)) {
        Some(path) => Err(FieldError::new(path, "unknown field")),
        None => Ok(()),
    }
}

/// `apiVersion` and `kind` belong to every object; some generated types leave them out.
fn top_level(path: &str) -> bool {
    matches!(path, "apiVersion" | "kind")
}

/// serde_ignored writes `spec.?.name` where an optional field is passed through.
fn clean(path: &str) -> String {
    path.split('.').filter(|part| *part != "?").collect::<Vec<_>>().join(".")
}
