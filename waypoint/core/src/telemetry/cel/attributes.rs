//! What expressions may speak of, looked up when they do. Spec: Envoy's "Attributes", and what Istio's metrics add
//! (`cluster_name`, `route_name`, `node`, the peers).
//!
//! Differs from Envoy: `connection.mtls` and the certificates' names are those of the tunnel; behind Envoy's internal
//! listener every connection looks like plain text.

mod fields;

use super::values;
use crate::telemetry::record::RequestRecord;
use cel::ExecutionError;
use cel::common::traits::{Container, Indexer};
use cel::common::types::{CelString, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use http::HeaderMap;
use std::sync::Arc;

/// What a configuration may be told of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    Yes,
    /// Envoy knows it; it never has a value here.
    WithoutValue,
    No,
}

/// Names that are values themselves.
const PLAIN: &[&str] = &["cluster_name", "route_name"];

/// Objects, their fields with a value, and those without.
const OBJECTS: &[(&str, &[&str], &[&str])] = &[
    ("request", fields::REQUEST, &[]),
    ("response", fields::RESPONSE, &["backend_latency"]),
    ("connection", fields::CONNECTION, fields::CONNECTION_WITHOUT_VALUE),
    ("source", fields::PEER, &[]),
    ("destination", fields::PEER, &[]),
    ("upstream", fields::UPSTREAM, fields::UPSTREAM_WITHOUT_VALUE),
    ("xds", fields::XDS, fields::XDS_WITHOUT_VALUE),
    ("metadata", &["filter_metadata"], &["typed_filter_metadata"]),
    ("filter_state", fields::FILTER_STATE, &[]),
    ("upstream_filter_state", &[], &[]),
    ("node", fields::NODE, fields::NODE_WITHOUT_VALUE),
    ("downstream_peer", fields::WORKLOAD, fields::WORKLOAD_WITHOUT_VALUE),
    ("upstream_peer", fields::WORKLOAD, fields::WORKLOAD_WITHOUT_VALUE),
];

const WITHOUT_VALUE: &[&str] = &[
    "listener_direction",
    "listener_metadata",
    "route_metadata",
    "cluster_metadata",
    "upstream_host_metadata",
    "plugin_name",
    "plugin_root_id",
    "plugin_vm_id",
    "connection_id",
];

/// `root`, or `root.field`.
#[must_use]
pub fn known(root: &str, field: Option<&str>) -> Known {
    let Some((_, have, lack)) = OBJECTS.iter().find(|(name, ..)| *name == root) else {
        return match (PLAIN.contains(&root), WITHOUT_VALUE.contains(&root)) {
            (true, _) => Known::Yes,
            (_, true) => Known::WithoutValue,
            _ => Known::No,
        };
    };
    match field {
        None => Known::Yes,
        Some(field) if have.contains(&field) => Known::Yes,
        Some(field) if lack.contains(&field) || root.ends_with("filter_state") => Known::WithoutValue,
        Some(_) => Known::No,
    }
}

/// The variables of an evaluation.
pub(super) struct Attributes<'a>(pub(super) &'a RequestRecord<'a>);

impl VariableResolver for Attributes<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if PLAIN.contains(&variable) {
            return fields::xds(variable, self.0);
        }
        let (root, ..) = OBJECTS.iter().find(|(name, ..)| *name == variable)?;
        Some(CowVal::owned(Object { root, record: self.0 }))
    }
}

/// `request`, `response`, …: a map whose values are made when they are asked for.
#[derive(Clone, Copy, Debug)]
struct Object<'a> {
    root: &'static str,
    record: &'a RequestRecord<'a>,
}

impl<'a> Object<'a> {
    fn field(&self, name: &str) -> Option<CowVal<'a, 'a>> {
        let record = self.record;
        match self.root {
            "request" => fields::request(name, record),
            "response" => fields::response(name, record),
            "connection" => fields::connection(name, record),
            "source" => fields::peer(name, record.downstream.remote_address),
            "destination" => fields::peer(name, record.downstream.local_address),
            "upstream" => fields::upstream(name, record),
            "xds" => fields::xds(name, record),
            "metadata" => fields::metadata(name, record),
            "filter_state" => fields::filter_state(name, record),
            "node" => fields::node(name, record),
            "downstream_peer" => fields::workload(name, record.downstream.workload),
            "upstream_peer" => fields::workload(name, record.upstream.workload),
            _ => None,
        }
    }
}

/// The headers of one message, joined where a name comes more than once, as Envoy does.
#[derive(Clone, Copy, Debug)]
struct Headers<'a> {
    headers: &'a HeaderMap,
    /// What HTTP/2 calls pseudo headers.
    pseudo: [(&'static str, &'a str); 4],
}

impl<'a> Headers<'a> {
    fn field(&self, name: &str) -> Option<CowVal<'a, 'a>> {
        if name.starts_with(':') {
            let (_, value) = self.pseudo.iter().find(|(known, value)| *known == name && !value.is_empty())?;
            return Some(CowVal::owned(CelString::from(*value)));
        }
        let mut all = self.headers.get_all(name).iter();
        let first = String::from_utf8_lossy(all.next()?.as_bytes());
        let joined = all.fold(first, |mut text, next| {
            text.to_mut().push(',');
            text.to_mut().push_str(&String::from_utf8_lossy(next.as_bytes()));
            text
        });
        Some(CowVal::owned(match joined {
            std::borrow::Cow::Borrowed(text) => CelString::from(text),
            std::borrow::Cow::Owned(text) => CelString::from(text),
        }))
    }
}

static OBJECT: Type = Type::new_unspecified_type("envoy.attributes");
static HEADERS: Type = Type::new_unspecified_type("envoy.headers");

/// Both are maps of text to something, and nothing else.
macro_rules! lazy_map {
    ($name:ident, $type:ident) => {
        impl Val for $name<'_> {
            fn get_type(&self) -> &Type {
                &$type
            }

            fn cel_type() -> &'static Type {
                &$type
            }

            fn as_container(&self) -> Option<&dyn Container> {
                Some(self)
            }

            fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
            where
                Self: 'v,
            {
                Box::new(*self)
            }
        }

        impl Container for $name<'_> {
            fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
                Ok(self.field(text(key)?).is_some())
            }
        }

        impl Indexer for $name<'_> {
            fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
            where
                Self: 'v,
            {
                let key = text(key)?;
                self.field(key).ok_or_else(|| ExecutionError::no_such_key(key))
            }

            fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
            where
                Self: 'v,
            {
                self.get(key).map(CowVal::into_owned)
            }
        }
    };
}

lazy_map!(Object, OBJECT);
lazy_map!(Headers, HEADERS);

fn text<'b>(key: &'b (dyn Val + 'b)) -> Result<&'b str, ExecutionError> {
    key.downcast_ref::<CelString<'_>>().map(CelString::inner).ok_or_else(|| ExecutionError::UnexpectedType {
        got: key.get_type().name().to_owned(),
        want: "string".to_owned(),
    })
}

fn owned<'a>(value: cel::Value) -> Option<CowVal<'a, 'a>> {
    let value: Box<dyn Val> = value.try_into().ok()?;
    Some(CowVal::Owned(value))
}

fn of_metadata<'a>(value: &crate::model::metadata::MetadataValue) -> Option<CowVal<'a, 'a>> {
    owned(values::of_metadata(value))
}

fn number<'a>(value: u64) -> Option<CowVal<'a, 'a>> {
    owned(cel::Value::Int(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn string(value: &str) -> Option<CowVal<'_, '_>> {
    Some(value).filter(|text| !text.is_empty()).map(|text| CowVal::owned(CelString::from(text)))
}

fn made<'a>(value: String) -> Option<CowVal<'a, 'a>> {
    owned(cel::Value::String(Arc::new(value)))
}
