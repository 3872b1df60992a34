//! Dynamic metadata of one request or connection: what filters tell later filters.
//! Envoy: `config.core.v3.Metadata`, a `google.protobuf.Struct` per filter name.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A struct: sorted, as the log prints it.
pub type Fields = BTreeMap<Box<str>, MetadataValue>;

#[derive(Clone, Debug, PartialEq)]
pub enum MetadataValue {
    Null,
    Bool(bool),
    Number(f64),
    String(Arc<str>),
    List(Vec<Self>),
    Struct(Fields),
}

/// By filter name; a request carries one to three of them, so a list beats a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DynamicMetadata {
    pub filters: Vec<(Arc<str>, MetadataValue)>,
}

impl DynamicMetadata {
    /// No metadata at all, for connections and requests no filter has written to.
    pub const EMPTY: &'static Self = &Self { filters: Vec::new() };

    /// Adds what `filter` tells to what it told before.
    pub fn merge(&mut self, filter: &str, told: BTreeMap<Box<str>, MetadataValue>) {
        match self.filters.iter_mut().find(|(name, _)| **name == *filter) {
            Some((_, MetadataValue::Struct(fields))) => fields.extend(told),
            Some((_, other)) => *other = MetadataValue::Struct(told),
            None => self.filters.push((filter.into(), MetadataValue::Struct(told))),
        }
    }

    /// The value at `path` under `filter`; lists are not descended into.
    #[must_use]
    pub fn value(&self, filter: &str, path: &[Box<str>]) -> Option<&MetadataValue> {
        let (_, root) = self.filters.iter().find(|(name, _)| &**name == filter)?;
        path.iter().try_fold(root, |value, key| match value {
            MetadataValue::Struct(fields) => fields.get(&**key),
            _ => None,
        })
    }
}
