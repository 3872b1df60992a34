//! A message again and again, each time with one field cleared or changed, at any depth and inside every `Any`.

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, ReflectMessage as _, Value};
use xds_client::dump;

pub(crate) trait Visitor {
    /// Whether another change of this field is of interest, in a packed message of this type; a cheap question, asked
    /// before anything is copied.
    fn wants(&mut self, field: &str, within: &str) -> bool;
    /// The whole message, with this field changed.
    fn changed(&mut self, field: &str, within: &str, message: &DynamicMessage);
}

pub(crate) fn every_field(message: &DynamicMessage, visitor: &mut dyn Visitor) {
    walk(message, (visitor, message.descriptor().full_name()), &|changed| changed);
}

/// A part put back where it came from, up to the whole.
type Rebuild<'a> = &'a dyn Fn(DynamicMessage) -> DynamicMessage;

/// Who is told, and the type of the packed message we are in.
type To<'a> = (&'a mut dyn Visitor, &'a str);

fn walk(message: &DynamicMessage, (visitor, within): To<'_>, rebuild: Rebuild<'_>) {
    match message.descriptor().full_name() {
        "google.protobuf.Any" => return any(message, (visitor, within), rebuild),
        // `Struct`, `Duration`, …: values of the field that holds them.
        name if name.starts_with("google.protobuf.") => return,
        _ => {}
    }
    for (field, value) in message.fields() {
        let name = field.full_name();
        let put = |value: Value| {
            let mut changed = message.clone();
            changed.set_field(&field, value);
            rebuild(changed)
        };
        if visitor.wants(name, within) {
            let mut cleared = message.clone();
            cleared.clear_field(&field);
            visitor.changed(name, within, &rebuild(cleared));
        }
        if let Some(other) = another(&field, value).filter(|_| visitor.wants(name, within)) {
            visitor.changed(name, within, &put(other));
        }
        descend(value, (visitor, within), &put);
    }
}

fn descend(value: &Value, (visitor, within): To<'_>, put: &dyn Fn(Value) -> DynamicMessage) {
    match value {
        Value::Message(inner) => walk(inner, (visitor, within), &|changed| put(Value::Message(changed))),
        Value::List(list) => {
            for (index, item) in list.iter().enumerate() {
                descend(item, (visitor, within), &|changed| {
                    let mut list = list.clone();
                    list[index] = changed;
                    put(Value::List(list))
                });
            }
        }
        Value::Map(map) => {
            let mut keys: Vec<&MapKey> = map.keys().collect();
            keys.sort_by_key(|key| format!("{key:?}"));
            for key in keys {
                descend(&map[key], (visitor, within), &|changed| {
                    let mut map = map.clone();
                    map.insert(key.clone(), changed);
                    put(Value::Map(map))
                });
            }
        }
        _ => {}
    }
}

/// Some other value of a scalar: a field may be set to what it means when it is not.
fn another(field: &FieldDescriptor, value: &Value) -> Option<Value> {
    Some(match value {
        Value::Bool(value) => Value::Bool(!value),
        Value::I32(value) => Value::I32(value ^ 1),
        Value::I64(value) => Value::I64(value ^ 1),
        Value::U32(value) if *value > 0 && value % 2 == 0 => Value::U32(value / 2),
        Value::U32(value) => Value::U32(value.wrapping_mul(2) + 1),
        Value::U64(value) => Value::U64(value ^ 1),
        Value::F64(value) => Value::F64(value / 2.0),
        Value::String(value) => Value::String(format!("{value}x")),
        Value::EnumNumber(value) => {
            let kind = field.kind();
            let last =
                kind.as_enum()?.values().map(|value| value.number()).filter(|other| other != value).last()?;
            Value::EnumNumber(last)
        }
        // `UInt32Value`, `Duration` and their like.
        Value::Message(message) if message.descriptor().full_name().starts_with("google.protobuf.") => {
            let mut other = message.clone();
            let field = message.descriptor().get_field(1)?;
            other.set_field(&field, another(&field, &message.get_field(&field))?);
            Value::Message(other)
        }
        _ => return None,
    })
}

/// What is packed, by its own type; of one that is not built in only that it is there.
fn any(message: &DynamicMessage, (visitor, within): To<'_>, rebuild: Rebuild<'_>) {
    let url = message.get_field_by_name("type_url").unwrap().as_str().unwrap().to_owned();
    let bytes = message.get_field_by_name("value").unwrap().as_bytes().unwrap().clone();
    let put = |bytes: Vec<u8>| {
        let mut changed = message.clone();
        changed.set_field_by_name("value", Value::Bytes(bytes.into()));
        rebuild(changed)
    };
    if let Some(inner) = dump::reflect(&url, &bytes).unwrap() {
        let within = inner.descriptor();
        return walk(&inner, (visitor, within.full_name()), &|changed| put(changed.encode_to_vec()));
    }
    let name = match url.rsplit('/').next().unwrap() {
        "udpa.type.v1.TypedStruct" => format!("{}.*", TypedStruct::decode(&*bytes).unwrap().name()),
        other => format!("{other}.*"),
    };
    if visitor.wants(&name, within) {
        visitor.changed(&name, within, &put(Vec::new()));
    }
}

/// A type that comes as a struct, since Envoy has no proto for it.
#[derive(Clone, PartialEq, prost::Message)]
struct TypedStruct {
    #[prost(string, tag = "1")]
    type_url: String,
}

impl TypedStruct {
    fn name(&self) -> &str {
        self.type_url.rsplit('/').next().unwrap()
    }
}
