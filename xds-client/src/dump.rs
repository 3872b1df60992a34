//! Raw resources to proto-JSON with original field names, as istioctl and Kiali read Envoy's config dump.
//!
//! Nested `Any`s are expanded by descriptor; one whose type is unknown would make the whole dump fail, so such a type
//! is printed as its URL alone, which istioctl's lenient resolver accepts.

use crate::cache::RawResource;
use prost_reflect::prost_types::{DescriptorProto, FileDescriptorProto};
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, SerializeOptions, Value};
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;
use std::sync::OnceLock;

static ENVOY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy.bin"));
static ISTIO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/istio.bin"));

#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error("the built-in descriptors do not load: {0}")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    #[error("{type_url} does not decode: {source}")]
    Decode { type_url: String, source: prost::DecodeError },
    #[error("{type_url} does not print: {source}")]
    Print { type_url: String, source: serde_json::Error },
}

/// Loaded when first wanted: 3 MB of descriptors that a proxy without an operator and without structs never needs.
pub(crate) fn pool() -> Result<&'static DescriptorPool, DumpError> {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    if let Some(pool) = POOL.get() {
        return Ok(pool);
    }
    let mut pool = DescriptorPool::decode(ENVOY)?;
    pool.decode_file_descriptor_set(ISTIO)?;
    Ok(POOL.get_or_init(|| pool))
}

/// The resource as JSON, `@type` first.
///
/// # Errors
/// When the bytes are no message of their type: the resource would not have been accepted either.
pub fn to_json(raw: &RawResource) -> Result<Json, DumpError> {
    message_to_json(&raw.type_url, &raw.value)
}

/// A message as its descriptor knows it; `None` for a type that is not built in.
///
/// # Errors
/// When the bytes are no message of their type.
pub fn reflect(type_url: &str, value: &[u8]) -> Result<Option<DynamicMessage>, DumpError> {
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    let decode = |descriptor| DynamicMessage::decode(descriptor, value);
    let decoded = pool()?.get_message_by_name(name).map(decode).transpose();
    decoded.map_err(|source| DumpError::Decode { type_url: type_url.to_owned(), source })
}

/// Any message by type URL and bytes.
///
/// # Errors
/// See [`to_json`].
pub fn message_to_json(type_url: &str, value: &[u8]) -> Result<Json, DumpError> {
    let mut pool = pool()?.clone();
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    let Some(descriptor) = pool.get_message_by_name(name) else { return Ok(only_type(type_url)) };
    let decode = |pool: &DescriptorPool| {
        let descriptor = pool.get_message_by_name(name).unwrap_or_else(|| descriptor.clone());
        DynamicMessage::decode(descriptor, value)
            .map_err(|source| DumpError::Decode { type_url: type_url.to_owned(), source })
    };
    let mut message = decode(&pool)?;
    let mut unknown = BTreeSet::new();
    unknown_types(&message, &mut unknown);
    if !unknown.is_empty() {
        for (i, name) in unknown.iter().enumerate() {
            pool.add_file_descriptor_proto(placeholder(name, i))?;
        }
        message = decode(&pool)?;
    }
    let print = |source| DumpError::Print { type_url: type_url.to_owned(), source };
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(true);
    let json = message.serialize_with_options(serde_json::value::Serializer, &options).map_err(print)?;
    let mut object = Map::new();
    object.insert("@type".into(), type_url.into());
    if let Json::Object(fields) = json {
        object.extend(fields);
    }
    Ok(Json::Object(object))
}

fn only_type(type_url: &str) -> Json {
    Json::Object(Map::from_iter([("@type".to_owned(), type_url.into())]))
}

/// Names of `Any` contents, at any depth, that the pool does not have.
fn unknown_types(message: &DynamicMessage, unknown: &mut BTreeSet<String>) {
    if message.descriptor().full_name() == "google.protobuf.Any" {
        let url = message.get_field_by_name("type_url").and_then(|url| url.as_str().map(str::to_owned));
        let value = message.get_field_by_name("value").and_then(|value| value.as_bytes().cloned());
        let name = url.as_deref().and_then(|url| url.rsplit('/').next()).unwrap_or_default().to_owned();
        match message.descriptor().parent_pool().get_message_by_name(&name) {
            None if !name.is_empty() => {
                unknown.insert(name);
            }
            Some(descriptor) => {
                if let Ok(inner) = DynamicMessage::decode(descriptor, value.unwrap_or_default()) {
                    unknown_types(&inner, unknown);
                }
            }
            None => {}
        }
    }
    for (_, value) in message.fields() {
        unknown_in_value(value, unknown);
    }
}

fn unknown_in_value(value: &Value, unknown: &mut BTreeSet<String>) {
    match value {
        Value::Message(inner) => unknown_types(inner, unknown),
        Value::List(list) => list.iter().for_each(|value| unknown_in_value(value, unknown)),
        Value::Map(map) => map.values().for_each(|value| unknown_in_value(value, unknown)),
        _ => {}
    }
}

fn placeholder(full_name: &str, index: usize) -> FileDescriptorProto {
    let (package, name) = full_name.rsplit_once('.').unwrap_or(("", full_name));
    FileDescriptorProto {
        name: Some(format!("placeholder/{index}-{full_name}.proto")),
        package: (!package.is_empty()).then(|| package.to_owned()),
        message_type: vec![DescriptorProto { name: Some(name.to_owned()), ..Default::default() }],
        syntax: Some("proto3".to_owned()),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
