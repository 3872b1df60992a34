//! A persistent multimap: several values under one key, in a fixed order.

use crate::state::{Service, Workload};
use rpds::HashTrieMapSync;
use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

/// Clones share everything that did not change since.
pub type Map<K, V> = HashTrieMapSync<K, V>;

/// What keeps values of one key in order and apart.
pub(super) trait Named {
    fn id(&self) -> &str;
}

impl Named for Workload {
    fn id(&self) -> &str {
        &self.uid
    }
}

impl Named for Service {
    fn id(&self) -> &str {
        &self.key
    }
}

#[derive(Clone, Debug)]
pub(super) struct Index<K: Eq + Hash, V>(Map<K, Arc<[Arc<V>]>>);

impl<K: Eq + Hash, V> Default for Index<K, V> {
    fn default() -> Self {
        Self(Map::new_sync())
    }
}

impl<K: Eq + Hash + Clone, V: Named> Index<K, V> {
    pub(super) fn add(&mut self, key: K, value: Arc<V>) {
        let mut list = self.find(&key).to_vec();
        let at = list.partition_point(|other| other.id() < value.id());
        // A workload may list one address twice; once is enough.
        if list.get(at).is_some_and(|other| other.id() == value.id()) {
            list[at] = value;
        } else {
            list.insert(at, value);
        }
        self.0.insert_mut(key, list.into());
    }

    pub(super) fn remove(&mut self, key: &K, value: &V) {
        let list: Vec<_> = self.find(key).iter().filter(|other| other.id() != value.id()).cloned().collect();
        if list.is_empty() {
            self.0.remove_mut(key);
        } else {
            self.0.insert_mut(key.clone(), list.into());
        }
    }

    pub(super) fn find<Q>(&self, key: &Q) -> &[Arc<V>]
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.get(key).map_or(&[], |list| list)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<V>> {
        self.0.values().flat_map(|list| list.iter())
    }
}
