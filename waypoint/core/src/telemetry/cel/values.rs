//! How values are printed, and metadata as values of expressions.

use crate::model::metadata::MetadataValue;
use cel::Value;
use cel::objects::{Key, Map};
use std::collections::HashMap;
use std::sync::Arc;

/// Envoy: `Expr::print`.
pub(super) fn print(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::UInt(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Null => "NULL".to_owned(),
        Value::Duration(duration) => duration_text(*duration),
        Value::Timestamp(time) => time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        other => format!("{} value", other.type_of()),
    }
}

/// `1m30s`, `7ms`: Envoy's `absl::FormatDuration` uses the largest units that fit.
fn duration_text(duration: chrono::Duration) -> String {
    let Ok(positive) = duration.abs().to_std() else { return String::new() };
    let sign = if duration < chrono::Duration::zero() { "-" } else { "" };
    let seconds = positive.as_secs();
    if seconds == 0 {
        let nanos = f64::from(positive.subsec_nanos());
        return match positive.subsec_nanos() {
            0 => "0".to_owned(),
            1..1_000 => format!("{sign}{nanos}ns"),
            1_000..1_000_000 => format!("{sign}{}us", nanos / 1e3),
            _ => format!("{sign}{}ms", nanos / 1e6),
        };
    }
    let mut text = sign.to_owned();
    for (unit, length) in [("h", 3600), ("m", 60)] {
        let count = if unit == "h" { seconds / length } else { seconds % 3600 / length };
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    let rest = (seconds % 60) as f64 + f64::from(positive.subsec_nanos()) / 1e9;
    if rest > 0.0 {
        text.push_str(&format!("{rest}s"));
    }
    text
}

pub(super) fn of_metadata(value: &MetadataValue) -> Value {
    match value {
        MetadataValue::Null => Value::Null,
        MetadataValue::Bool(value) => Value::Bool(*value),
        MetadataValue::Number(value) => Value::Float(*value),
        MetadataValue::String(text) => Value::String(Arc::new(text.to_string())),
        MetadataValue::List(items) => Value::List(Arc::new(items.iter().map(of_metadata).collect())),
        MetadataValue::Struct(fields) => {
            map(fields.iter().map(|(key, value)| (key.to_string(), of_metadata(value))))
        }
    }
}

pub(super) fn map(fields: impl Iterator<Item = (String, Value)>) -> Value {
    let map: HashMap<Key, Value> = fields.map(|(key, value)| (Key::String(Arc::new(key)), value)).collect();
    Value::Map(Map { map: Arc::new(map) })
}
