//! JSON objects as metadata, strictly: a name that comes twice is refused, because two readers could each believe a
//! different one of the two values. Depth is bounded by `serde_json` (128; protobuf: 100).
//!
//! Numbers are doubles, as in `google.protobuf.Struct`.

use crate::model::metadata::{Fields, MetadataValue};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::btree_map::Entry;
use std::fmt;

/// `None`: no JSON, not an object, or one with a name twice.
#[must_use]
pub(super) fn object(text: &[u8]) -> Option<Fields> {
    match serde_json::from_slice::<Node>(text).ok()?.0 {
        MetadataValue::Struct(fields) => Some(fields),
        _ => None,
    }
}

struct Node(MetadataValue);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = MetadataValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<MetadataValue, E> {
        Ok(MetadataValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<MetadataValue, E> {
        Ok(MetadataValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<MetadataValue, E> {
        Ok(MetadataValue::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<MetadataValue, E> {
        Ok(MetadataValue::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<MetadataValue, E> {
        Ok(MetadataValue::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<MetadataValue, E> {
        Ok(MetadataValue::String(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<MetadataValue, A::Error> {
        let mut list = Vec::new();
        while let Some(Node(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(MetadataValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<MetadataValue, A::Error> {
        let mut fields = Fields::new();
        while let Some(name) = entries.next_key::<String>()? {
            let Node(value) = entries.next_value()?;
            match fields.entry(name.into()) {
                Entry::Vacant(free) => free.insert(value),
                Entry::Occupied(_) => return Err(de::Error::custom("a name comes twice")),
            };
        }
        Ok(MetadataValue::Struct(fields))
    }
}

/// What `protobuf` prints for a list or struct.
#[must_use]
pub(super) fn text(value: &MetadataValue) -> String {
    to_json(value).to_string()
}

fn to_json(value: &MetadataValue) -> serde_json::Value {
    /// Integers a double holds exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        MetadataValue::Null => serde_json::Value::Null,
        MetadataValue::Bool(value) => (*value).into(),
        MetadataValue::Number(value) if value.fract() == 0.0 && value.abs() <= EXACT => {
            (*value as i64).into()
        }
        MetadataValue::Number(value) => (*value).into(),
        MetadataValue::String(text) => (**text).into(),
        MetadataValue::List(items) => items.iter().map(to_json).collect(),
        MetadataValue::Struct(fields) => {
            fields.iter().map(|(name, value)| (name.to_string(), to_json(value))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_strictly() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let cases = [
            (
                r#"{"a":1,"b":[true,null,"x"],"c":{"d":-1.5}}"#,
                Some(r#"{"a":1,"b":[true,null,"x"],"c":{"d":-1.5}}"#),
            ),
            (r#"{"n":1e3,"big":18446744073709551615}"#, Some(r#"{"big":1.8446744073709552e+19,"n":1000}"#)),
            ("{}", Some("{}")),
            (r#"{"a":1,"a":1}"#, None),
            (r#"{"x":{"a":1,"\u0061":2}}"#, None),
            ("[]", None),
            (r#""text""#, None),
            ("", None),
            ("{", None),
            ("{} {}", None),
            (r#"{"a":1e999}"#, None),
            (r#"{"a":"\ud800"}"#, None),
            (&*deep, None),
        ];
        for (input, expect) in cases {
            let got = object(input.as_bytes()).map(|fields| text(&MetadataValue::Struct(fields)));
            assert_eq!(got.as_deref(), expect, "{}", &input[..input.len().min(60)]);
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), None);
    }
}
