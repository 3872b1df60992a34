//! Telling work to finish, and learning when it has.
//!
//! Invariant: a drain once started is never taken back.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Starts a drain and waits for its end.
#[derive(Debug)]
pub struct DrainTrigger {
    started: watch::Sender<bool>,
    /// Its receivers are the guards in existence; the value is never read.
    in_flight: watch::Sender<()>,
}

/// Learns of a drain. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DrainWatch {
    started: watch::Receiver<bool>,
    in_flight: watch::Sender<()>,
}

/// Counts as work in flight while it lives.
#[derive(Debug)]
pub struct DrainGuard {
    _counted: watch::Receiver<()>,
}

/// A trigger and its first watch.
#[must_use]
pub fn drain() -> (DrainTrigger, DrainWatch) {
    let (started, watch) = watch::channel(false);
    let (in_flight, _) = watch::channel(());
    let trigger = DrainTrigger { started, in_flight: in_flight.clone() };
    (trigger, DrainWatch { started: watch, in_flight })
}

impl DrainTrigger {
    /// Tells every watch; the second call changes nothing.
    pub fn start(&self) {
        self.started.send_replace(true);
    }

    /// A further watch.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        DrainWatch { started: self.started.subscribe(), in_flight: self.in_flight.clone() }
    }

    /// Guards alive now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.receiver_count()
    }

    /// Waits until no guard is left, at most `deadline`. True when none is left.
    pub async fn finished(&self, deadline: Duration) -> bool {
        timeout(deadline, self.in_flight.closed()).await.is_ok()
    }
}

impl DrainWatch {
    /// Waits for the drain. A trigger dropped without a drain (its owner is gone) counts as one.
    pub async fn started(&self) {
        // An error means that the sender is gone: see above.
        let _ = self.started.clone().wait_for(|started| *started).await;
    }

    /// Has it started?
    #[must_use]
    pub fn is_started(&self) -> bool {
        *self.started.borrow() || self.started.has_changed().is_err()
    }

    /// Counts as work in flight until dropped.
    #[must_use]
    pub fn guard(&self) -> DrainGuard {
        DrainGuard { _counted: self.in_flight.subscribe() }
    }

    /// Guards alive now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.receiver_count()
    }
}

#[cfg(test)]
mod tests;
