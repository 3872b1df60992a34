//! How many streams a connection carries, and since when it carries none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The count of one connection.
#[derive(Debug)]
pub(super) struct Streams {
    active: AtomicUsize,
    created: Instant,
    /// Milliseconds from `created` to the last stream's end.
    idle_since: AtomicU64,
}

/// One stream of the count; lives as long as the stream.
#[derive(Debug)]
pub(super) struct Lease(Arc<Streams>);

impl Streams {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { active: AtomicUsize::new(0), created: Instant::now(), idle_since: AtomicU64::new(0) })
    }

    /// Counts one more stream, unless there are `limit`.
    pub(super) fn lease(self: &Arc<Self>, limit: usize) -> Option<Lease> {
        self.active
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |active| {
                (active < limit).then_some(active + 1)
            })
            .ok()
            .map(|_| Lease(Arc::clone(self)))
    }

    /// How long no stream has been there; `None` while there is one.
    pub(super) fn idle(&self) -> Option<Duration> {
        if self.active.load(Ordering::Acquire) > 0 {
            return None;
        }
        let since = Duration::from_millis(self.idle_since.load(Ordering::Acquire));
        Some(self.created.elapsed().saturating_sub(since))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let age = u64::try_from(self.0.created.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.idle_since.store(age, Ordering::Release);
        self.0.active.fetch_sub(1, Ordering::AcqRel);
    }
}
