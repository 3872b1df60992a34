//! Which parts of the process are not ready yet, by name.
//!
//! Invariant: ready means every registered task reported, and no shutdown began.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The list of pending tasks. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
    /// Told when a task became ready.
    kept: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    /// How many tokens of a name are out.
    pending: BTreeMap<String, usize>,
    shutting_down: bool,
}

/// One task's promise to become ready; dropping it keeps the promise.
#[derive(Debug)]
#[must_use = "a token dropped at once reports ready at once"]
pub struct ReadyToken {
    name: String,
    readiness: Readiness,
}

impl Readiness {
    /// Ready until somebody registers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task that is not ready yet.
    pub fn register(&self, name: &str) -> ReadyToken {
        *self.lock().pending.entry(name.to_owned()).or_default() += 1;
        ReadyToken { name: name.to_owned(), readiness: self.clone() }
    }

    /// Never ready again.
    pub fn shut_down(&self) {
        self.lock().shutting_down = true;
    }

    /// Names of the tasks that are not ready, ordered; `shutdown` once a shutdown began.
    #[must_use]
    pub fn pending(&self) -> Vec<String> {
        let state = self.lock();
        let shutdown = state.shutting_down.then(|| "shutdown".to_owned());
        state.pending.keys().cloned().chain(shutdown).collect()
    }

    /// Is nothing pending?
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.lock();
        state.pending.is_empty() && !state.shutting_down
    }

    /// Waits until no pending task is one of those meant.
    pub async fn kept(&self, meant: impl Fn(&str) -> bool) {
        loop {
            // Listens before it looks: a promise kept in between wakes it.
            let kept = self.kept.notified();
            tokio::pin!(kept);
            kept.as_mut().enable();
            if !self.lock().pending.keys().any(|task| meant(task)) {
                return;
            }
            kept.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadyToken {
    /// The task is ready. The same as dropping the token, but says so.
    pub fn ready(self) {}
}

impl Drop for ReadyToken {
    fn drop(&mut self) {
        let mut state = self.readiness.lock();
        if let Some(count) = state.pending.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                state.pending.remove(&self.name);
            }
        }
        drop(state);
        self.readiness.kept.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
