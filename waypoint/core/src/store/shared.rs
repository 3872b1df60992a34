//! The one place a snapshot is swapped: published by the xDS task, loaded by every worker.

use super::snapshot::Snapshot;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct SharedSnapshot {
    current: Arc<ArcSwap<Snapshot>>,
}

impl SharedSnapshot {
    /// For the length of one request: no reference count is touched.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// For longer than a request.
    #[must_use]
    pub fn load_full(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Requests under way finish on the snapshot they loaded.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.current.store(snapshot);
    }
}
