//! Which pods run: the reconciliation of what istio-cni says with what we serve.
//!
//! Invariants: at most one proxy per pod uid; an add for the namespace we serve already changes nothing; a proxy that could not
//! start is kept and tried again, and until then the node is not ready.

use crate::inpod::protocol::{Message, ProtocolError, WorkloadInfo};
use crate::sockets::Namespace;
use crate::telemetry::Metrics;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Starts and stops the proxy of one pod.
pub trait Start: Send + Sync + 'static {
    type Proxy: Clone + Send + Sync + 'static;

    fn start(
        &self,
        uid: &str,
        info: &WorkloadInfo,
        netns: Arc<Namespace>,
    ) -> impl Future<Output = Result<Self::Proxy, String>> + Send;

    fn stop(&self, proxy: Self::Proxy);
}

struct Entry<P> {
    info: WorkloadInfo,
    netns: Arc<Namespace>,
    /// None: could not be started.
    proxy: Option<P>,
}

/// For config dumps.
#[derive(Clone, Debug)]
pub struct PodView<P> {
    pub uid: String,
    pub info: WorkloadInfo,
    pub state: PodState,
    pub proxy: Option<P>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    Up,
    Pending,
}

type Table<P> = BTreeMap<String, Entry<P>>;

/// All pods of the node. The table outlives the connections to istio-cni.
pub struct Pods<S: Start> {
    start: S,
    metrics: Arc<Metrics>,
    table: Mutex<Table<S::Proxy>>,
}

/// What one connection to istio-cni has said so far.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    mentioned: BTreeSet<String>,
    pub(super) complete: bool,
}

impl<S: Start> Pods<S> {
    #[must_use]
    pub fn new(start: S, metrics: Arc<Metrics>) -> Self {
        Self { start, metrics, table: Mutex::default() }
    }

    fn with<T>(&self, job: impl FnOnce(&mut Table<S::Proxy>) -> T) -> T {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let result = job(&mut table);
        let pending = table.values().filter(|entry| entry.proxy.is_none()).count();
        #[allow(clippy::cast_possible_wrap)] // a node has some hundreds of pods
        {
            self.metrics.proxies_pending.set(pending as i64);
            self.metrics.proxies_active.set((table.len() - pending) as i64);
        }
        result
    }

    /// Carries out one message; the text of an error goes to istio-cni.
    pub(super) async fn apply(
        &self,
        message: Message,
        snapshot: &mut Snapshot,
    ) -> Result<Result<(), String>, ProtocolError> {
        match message {
            Message::Add { uid, info, netns } => {
                if !snapshot.complete {
                    snapshot.mentioned.insert(uid.clone());
                }
                let added = match Namespace::new(netns) {
                    Ok(netns) => self.add(uid, info, Arc::new(netns)).await,
                    Err(error) => Err(error.to_string()),
                };
                Ok(added)
            }
            Message::Keep { .. } if snapshot.complete => Err(ProtocolError::AfterSnapshot("keep")),
            Message::Keep { uid } => {
                snapshot.mentioned.insert(uid);
                Ok(Ok(()))
            }
            Message::Delete { uid } => {
                snapshot.mentioned.remove(&uid);
                self.delete(&uid);
                Ok(Ok(()))
            }
            Message::SnapshotSent if snapshot.complete => {
                Err(ProtocolError::AfterSnapshot("a second snapshot"))
            }
            Message::SnapshotSent => {
                snapshot.complete = true;
                let gone: Vec<_> = self.with(|table| {
                    table.keys().filter(|uid| !snapshot.mentioned.contains(*uid)).cloned().collect()
                });
                gone.iter().for_each(|uid| self.delete(uid));
                Ok(Ok(()))
            }
        }
    }

    async fn add(&self, uid: String, info: WorkloadInfo, netns: Arc<Namespace>) -> Result<(), String> {
        let same = |entry: &Entry<S::Proxy>| entry.proxy.is_some() && entry.netns.id() == netns.id();
        if self.with(|table| table.get(&uid).is_some_and(same)) {
            return Ok(());
        }
        self.delete(&uid);
        let started = self.start.start(&uid, &info, netns.clone()).await;
        let result = started.as_ref().map(|_| ()).map_err(Clone::clone);
        match &result {
            Ok(()) => {
                self.metrics.proxies_started.inc();
                tracing::info!(
                    uid,
                    name = &*info.name,
                    namespace = &*info.namespace,
                    "pod received, proxy started"
                );
            }
            Err(error) => {
                tracing::warn!(
                    uid,
                    name = &*info.name,
                    namespace = &*info.namespace,
                    error,
                    "proxy could not start"
                );
            }
        }
        self.with(|table| table.insert(uid, Entry { info, netns, proxy: started.ok() }));
        result
    }

    fn delete(&self, uid: &str) {
        let Some(entry) = self.with(|table| table.remove(uid)) else { return };
        if let Some(proxy) = entry.proxy {
            self.metrics.proxies_stopped.inc();
            tracing::info!(
                uid,
                name = &*entry.info.name,
                namespace = &*entry.info.namespace,
                "pod deleted, proxy stopped"
            );
            self.start.stop(proxy);
        }
    }

    /// Tries what could not be started; true when nothing is pending any more.
    pub(super) async fn retry(&self) -> bool {
        let pending: Vec<_> = self.with(|table| {
            let pending = table.iter().filter(|(_, entry)| entry.proxy.is_none());
            pending.map(|(uid, entry)| (uid.clone(), entry.info.clone(), entry.netns.clone())).collect()
        });
        for (uid, info, netns) in pending {
            // The failure was logged.
            let _ = self.add(uid, info, netns).await;
        }
        self.is_settled()
    }

    /// Whether every pod has its proxy.
    pub fn is_settled(&self) -> bool {
        self.with(|table| table.values().all(|entry| entry.proxy.is_some()))
    }

    pub fn views(&self) -> Vec<PodView<S::Proxy>> {
        self.with(|table| {
            let view = |(uid, entry): (&String, &Entry<S::Proxy>)| PodView {
                uid: uid.clone(),
                info: entry.info.clone(),
                state: if entry.proxy.is_some() { PodState::Up } else { PodState::Pending },
                proxy: entry.proxy.clone(),
            };
            table.iter().map(view).collect()
        })
    }

    /// Every running proxy.
    pub fn proxies(&self) -> Vec<S::Proxy> {
        self.with(|table| table.values().filter_map(|entry| entry.proxy.clone()).collect())
    }
}

impl From<ProtocolError> for io::Error {
    fn from(error: ProtocolError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error.to_string())
    }
}

#[cfg(test)]
mod tests;
