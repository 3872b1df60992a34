//! All objects of the cluster, and which of them changed since istiod was told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::manifest::kinds::Kind;
use crate::manifest::{Key, Object};

#[derive(Debug, Default)]
pub struct Store {
    objects: BTreeMap<Key, Object>,
    version: u64,
    changed: BTreeSet<Key>,
    removed: BTreeMap<Key, String>,
}

/// What istiod has to be told.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    pub apply: Vec<Value>,
    /// Key and apiVersion.
    pub delete: Vec<(Key, String)>,
}

impl Changes {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.apply.is_empty() && self.delete.is_empty()
    }
}

impl Store {
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key)
    }

    #[must_use]
    pub fn find(&self, kind: &Kind, namespace: &str, name: &str) -> Option<&Object> {
        self.objects.get(&Key::new(kind, namespace, name))
    }

    pub fn all(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    pub fn of_kind<'a>(&'a self, kind: &Kind) -> impl Iterator<Item = &'a Object> + use<'a> {
        let first = Key::new(kind, "", "");
        let (group, name) = (first.group.clone(), first.kind.clone());
        self.objects
            .range(first..)
            .map(|(_, o)| o)
            .take_while(move |o| o.key.group == group && o.key.kind == name)
    }

    /// Writes an object; an equal one changes nothing. Returns whether it changed.
    pub fn put(&mut self, object: Object) -> bool {
        let changed = self.write(object);
        if let Some(key) = changed.clone() {
            self.removed.remove(&key);
            self.changed.insert(key);
        }
        changed.is_some()
    }

    /// Writes what istiod itself wrote: it need not be told.
    pub fn put_quietly(&mut self, object: Object) -> bool {
        self.write(object).is_some()
    }

    fn write(&mut self, mut object: Object) -> Option<Key> {
        if let Some(old) = self.objects.get(&object.key) {
            object.json["metadata"]["resourceVersion"] = old.json["metadata"]["resourceVersion"].clone();
            if old.json == object.json {
                return None;
            }
        }
        self.version += 1;
        object.json["metadata"]["resourceVersion"] = self.version.to_string().into();
        let key = object.key.clone();
        self.objects.insert(key.clone(), object);
        Some(key)
    }

    /// Changes an object in place; nothing happens if there is none.
    pub fn edit(&mut self, key: &Key, change: impl FnOnce(&mut Object)) -> bool {
        let Some(old) = self.objects.get(key) else { return false };
        let mut new = old.clone();
        change(&mut new);
        self.put(new)
    }

    pub fn remove(&mut self, key: &Key) -> Option<Object> {
        let object = self.objects.remove(key)?;
        self.changed.remove(key);
        self.removed.insert(key.clone(), object.str("/apiVersion").to_owned());
        Some(object)
    }

    /// The changes since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let changed = std::mem::take(&mut self.changed);
        let apply = changed.iter().filter_map(|key| self.objects.get(key)).map(|o| o.json.clone()).collect();
        Changes { apply, delete: std::mem::take(&mut self.removed).into_iter().collect() }
    }
}

#[cfg(test)]
mod tests;
