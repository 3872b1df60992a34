//! One Kubernetes object as JSON, and the key that names it.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use super::kinds::{self, Kind};

/// Names an object. The version is left out: two versions of a kind are one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub group: String,
    pub kind: String,
    /// Empty for what belongs to no namespace.
    pub namespace: String,
    pub name: String,
}

impl Key {
    #[must_use]
    pub fn new(kind: &Kind, namespace: &str, name: &str) -> Self {
        let namespace = if kind.namespaced { namespace } else { "" };
        Self {
            group: kind.group.to_owned(),
            kind: kind.kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    #[must_use]
    pub fn is(&self, kind: &Kind) -> bool {
        self.group == kind.group && self.kind == kind.kind
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// An object with its key taken out of the JSON once. `json` is always a map with a `metadata` map.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub key: Key,
    pub json: Value,
}

/// Why JSON is no object; names the field.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl Object {
    /// Reads the key; `namespace` is used where the object names none and its kind has one.
    pub fn from_json(mut json: Value, namespace: &str) -> Result<Self, FieldError> {
        let text = |json: &Value, pointer: &str, field: &str| match json.pointer(pointer) {
            Some(Value::String(s)) if !s.is_empty() => Ok(s.clone()),
            Some(Value::String(_) | Value::Null) | None => Err(FieldError::new(field, "is required")),
            Some(_) => Err(FieldError::new(field, "must be a string")),
        };
        if !json.is_object() {
            return Err(FieldError::new("", "expected an object"));
        }
        let kind = text(&json, "/kind", "kind")?;
        let api = text(&json, "/apiVersion", "apiVersion")?;
        let group = api.split_once('/').map(|(group, _)| group.to_owned()).unwrap_or_default();
        if !json.get("metadata").is_some_and(Value::is_object) {
            return Err(FieldError::new("metadata", "is required"));
        }
        let name = text(&json, "/metadata/name", "metadata.name")?;
        let known = kinds::of(&group, &kind);
        let namespace = match (json.pointer("/metadata/namespace"), known.is_none_or(|k| k.namespaced)) {
            (_, false) => String::new(),
            (None | Some(Value::Null), true) => namespace.to_owned(),
            (Some(Value::String(given)), true) => given.clone(),
            _ => return Err(FieldError::new("metadata.namespace", "must be a string")),
        };
        if !namespace.is_empty() {
            json["metadata"]["namespace"] = Value::String(namespace.clone());
        }
        Ok(Self { key: Key { group, kind, namespace, name }, json })
    }

    /// For objects fairway itself writes, whose shape is ours.
    #[must_use]
    pub fn ours(kind: &Kind, namespace: &str, name: &str, mut json: Value) -> Self {
        let key = Key::new(kind, namespace, name);
        json["apiVersion"] = kind.api_version().into();
        json["kind"] = kind.kind.into();
        json["metadata"]["name"] = name.into();
        if !key.namespace.is_empty() {
            json["metadata"]["namespace"] = namespace.into();
        }
        Self { key, json }
    }

    #[must_use]
    pub fn str(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    #[must_use]
    pub fn array(&self, pointer: &str) -> &[Value] {
        self.json.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    #[must_use]
    pub fn uid(&self) -> &str {
        self.str("/metadata/uid")
    }

    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.json["metadata"]["labels"][name].as_str()
    }

    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.json["metadata"]["annotations"][name].as_str()
    }

    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.json.pointer("/metadata/deletionTimestamp").is_some_and(|v| !v.is_null())
    }

    /// A map of strings: labels, annotations, a selector.
    #[must_use]
    pub fn strings(&self, pointer: &str) -> BTreeMap<String, String> {
        strings(self.json.pointer(pointer))
    }

    /// The map at `metadata.labels` or `metadata.annotations`, made when absent.
    pub fn metadata_map(&mut self, field: &str) -> &mut Map<String, Value> {
        let slot = &mut self.json["metadata"][field];
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        slot.as_object_mut().expect("made an object just above")
    }
}

#[must_use]
pub fn strings(value: Option<&Value>) -> BTreeMap<String, String> {
    let map = value.and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    pairs.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}
