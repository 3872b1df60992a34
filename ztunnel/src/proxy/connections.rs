//! The open connections of one pod: what the config dump lists, and what a policy change closes.
//!
//! Invariant: an inbound connection is in the table before its policies are asked, so a change between the answer and the
//! first byte still finds it.

use crate::rbac::{Connection, Denied};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// One connection, as config dumps show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionView {
    pub inbound: bool,
    pub source: SocketAddr,
    pub original_destination: Option<String>,
    pub destination: SocketAddr,
    pub hbone: bool,
}

#[derive(Debug)]
struct Entry {
    view: ConnectionView,
    /// Inbound: what policies judge, and how to tell the connection that it lost.
    judged: Option<(Connection, oneshot::Sender<()>)>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    entries: HashMap<u64, Entry>,
}

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Mutex<Table>>);

/// Keeps the connection listed while it lives.
#[derive(Debug)]
pub(super) struct Listed {
    id: u64,
    table: Connections,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.table.lock().entries.remove(&self.id);
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, entry: Entry) -> Listed {
        let mut table = self.lock();
        let id = table.next;
        table.next += 1;
        table.entries.insert(id, entry);
        Listed { id, table: self.clone() }
    }

    pub(super) fn outbound(&self, view: ConnectionView) -> Listed {
        self.add(Entry { view, judged: None })
    }

    /// The receiver hears when a policy change takes the connection's permission.
    pub(super) fn inbound(
        &self,
        view: ConnectionView,
        connection: Connection,
    ) -> (Listed, oneshot::Receiver<()>) {
        let (close, closed) = oneshot::channel();
        (self.add(Entry { view, judged: Some((connection, close)) }), closed)
    }

    /// Closes what `judge` denies now. A policy that is named but not there closes nothing: when it comes, this runs again.
    pub(super) fn judge(&self, judge: impl Fn(&Connection) -> Result<(), Denied>) -> usize {
        let mut table = self.lock();
        let mut closed = 0;
        for entry in table.entries.values_mut() {
            let denied = |(connection, _): &(Connection, _)| {
                matches!(judge(connection), Err(Denied::Explicitly(_) | Denied::NotAllowed))
            };
            if entry.judged.as_ref().is_some_and(denied)
                && let Some((_, close)) = entry.judged.take()
            {
                // It may have ended by itself just now.
                let _ = close.send(());
                closed += 1;
            }
        }
        closed
    }

    #[must_use]
    pub fn views(&self) -> Vec<ConnectionView> {
        self.lock().entries.values().map(|entry| entry.view.clone()).collect()
    }
}
