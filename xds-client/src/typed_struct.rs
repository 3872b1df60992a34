//! Messages written as JSON-like structs (`TypedStruct`): what an EnvoyFilter says of a type that istiod does not know,
//! or that its author did not want it to look at.
//!
//! Spec: proto3 JSON; `udpa.type.v1.TypedStruct`, `xds.type.v3.TypedStruct`.

use crate::dump::{DumpError, pool};
use crate::proto::envoy::google::protobuf::value::Kind;
use crate::proto::envoy::google::protobuf::{Struct, Value};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use serde_json::{Map, Number, Value as Json};

#[derive(Debug, thiserror::Error)]
pub enum TypedStructError {
    #[error(transparent)]
    Descriptors(#[from] DumpError),
    #[error("{0}")]
    Content(#[from] serde_json::Error),
}

/// The bytes of the message; `None` for a type that is not built in.
///
/// # Errors
/// When the struct is no such message, or has fields it does not.
pub fn message(type_url: &str, content: Struct) -> Result<Option<Vec<u8>>, TypedStructError> {
    let name = type_url.rsplit('/').next().unwrap_or(type_url);
    let Some(descriptor) = pool()?.get_message_by_name(name) else { return Ok(None) };
    let message = DynamicMessage::deserialize(descriptor, object(content))?;
    Ok(Some(message.encode_to_vec()))
}

fn object(content: Struct) -> Json {
    Json::Object(content.fields.into_iter().map(|(name, value)| (name, json(value))).collect::<Map<_, _>>())
}

fn json(value: Value) -> Json {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(value),
        Some(Kind::NumberValue(value)) => number(value),
        Some(Kind::StringValue(value)) => Json::String(value),
        Some(Kind::ListValue(list)) => Json::Array(list.values.into_iter().map(json).collect()),
        Some(Kind::StructValue(content)) => object(content),
    }
}

/// A struct knows only floating point; whole numbers are whole again.
fn number(value: f64) -> Json {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Json::from(value as i64);
    }
    Number::from_f64(value).map_or(Json::Null, Json::Number)
}

#[cfg(test)]
mod tests;
