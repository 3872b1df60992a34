//! The current snapshot, and waiting for one that answers a question.

use crate::state::Snapshot;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Where readers find the current snapshot. One writer: the xDS handler.
#[derive(Debug)]
pub struct Store {
    current: ArcSwap<Snapshot>,
    /// How many snapshots were published; readers who wait are woken by it.
    version: watch::Sender<u64>,
}

impl Store {
    #[must_use]
    pub fn new(first: Snapshot) -> Self {
        Self { current: ArcSwap::from_pointee(first), version: watch::channel(0).0 }
    }

    pub fn publish(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
        self.version.send_modify(|version| *version += 1);
    }

    /// For one decision; do not hold it across an await.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The first answer a present or future snapshot gives within `limit`.
    pub async fn wait<T>(&self, limit: Duration, question: impl Fn(&Snapshot) -> Option<T>) -> Option<T> {
        if let Some(answer) = question(&self.load()) {
            return Some(answer);
        }
        let mut changes = self.changes();
        let answer = async {
            loop {
                // Subscribed before this look: what is published after it wakes us.
                if let Some(answer) = question(&self.load()) {
                    return Some(answer);
                }
                changes.changed().await.ok()?;
            }
        };
        timeout(limit, answer).await.ok().flatten()
    }
}
