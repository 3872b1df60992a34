//! istio-cni's half of ZDS: tells ztunnel which pods of the node are captured, and hands it their network namespaces.
//!
//! Invariant: what a connection was told (snapshot, then additions and removals) is at every moment a prefix of what happened
//! to the set of pods; registering a connection and taking its snapshot are one step. Additions go to the newest connection
//! only and removals to all, so that two ztunnels can overlap during an upgrade. Spec: istio.io/istio cni/pkg/nodeagent,
//! ztunnelserver.go; ztunnel src/inpod.

mod connection;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::netns::NetNs;
use crate::limits::{PODS_MAX, ZDS_ACCEPTS_PER_SECOND};
use connection::{Connection, Listener};

/// A captured pod. `uid` is the Kubernetes pod's.
#[derive(Clone, Debug)]
pub struct ZdsWorkload {
    pub uid: String,
    pub name: String,
    pub namespace: String,
    pub service_account: String,
    pub netns: Arc<NetNs>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    Acknowledged,
    /// No ztunnel is connected; the next one gets it with its snapshot.
    NoProxy,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZdsError {
    #[error("ztunnel refused pod {uid}: {message}")]
    Refused { uid: String, message: String },
    #[error("more than {PODS_MAX} captured pods")]
    Full,
}

/// A handle; clones are the same server, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct ZdsServer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.state().connections.clear(); // ends their tasks
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    connected: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    pods: BTreeMap<String, ZdsWorkload>,
    /// Why ztunnel would not take a pod.
    refusals: BTreeMap<String, String>,
    /// Oldest first.
    connections: Vec<Registered>,
    next_id: u64,
}

#[derive(Debug)]
struct Registered {
    id: u64,
    orders: mpsc::UnboundedSender<Order>,
}

/// What a connection is to tell ztunnel. `done` is dropped unanswered when the connection breaks.
struct Order {
    what: What,
    done: oneshot::Sender<Result<(), String>>,
}

#[derive(Clone, Debug)]
enum What {
    Add(ZdsWorkload),
    Remove(String),
}

impl ZdsServer {
    /// Listens at a path; a socket left there by an earlier run is replaced.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = Listener::bind(path)?;
        let shared = Arc::new(Shared { state: Mutex::default(), connected: watch::Sender::new(0) });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { inner: Arc::new(Inner { shared, accepting }) })
    }

    /// Adds a captured pod and waits for ztunnel to have taken it over. It stays in the set whatever ztunnel says.
    pub async fn add(&self, workload: ZdsWorkload) -> Result<Delivered, ZdsError> {
        let uid = workload.uid.clone();
        let answer = {
            let mut state = self.inner.shared.state();
            if state.pods.len() >= PODS_MAX && !state.pods.contains_key(&uid) {
                return Err(ZdsError::Full);
            }
            state.pods.insert(uid.clone(), workload.clone());
            state.connections.last().map(|newest| newest.tell(What::Add(workload)))
        };
        let Some(answer) = answer else { return Ok(Delivered::NoProxy) };
        self.inner.shared.settle(&uid, answer.await)
    }

    /// Removes a pod and waits until every ztunnel has let go of it.
    pub async fn remove(&self, uid: &str) -> Result<Delivered, ZdsError> {
        let answers: Vec<_> = {
            let mut state = self.inner.shared.state();
            state.refusals.remove(uid);
            if state.pods.remove(uid).is_none() {
                return Ok(Delivered::NoProxy);
            }
            state.connections.iter().map(|c| c.tell(What::Remove(uid.to_owned()))).collect()
        };
        let mut delivered = Delivered::NoProxy;
        for answer in answers {
            match answer.await {
                Ok(Ok(())) => delivered = Delivered::Acknowledged,
                Ok(Err(message)) => return Err(ZdsError::Refused { uid: uid.to_owned(), message }),
                Err(_) => {}
            }
        }
        Ok(delivered)
    }

    /// How many ztunnels are connected and have their snapshot begun.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.inner.shared.connected.borrow()
    }

    /// `connections` and its changes.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.inner.shared.connected.subscribe()
    }

    /// Pods ztunnel would not take, by uid, with its reason.
    #[must_use]
    pub fn refusals(&self) -> BTreeMap<String, String> {
        self.inner.shared.state().refusals.clone()
    }
}

impl Registered {
    fn tell(&self, what: What) -> oneshot::Receiver<Result<(), String>> {
        let (done, answer) = oneshot::channel();
        let _ = self.orders.send(Order { what, done }); // the connection is breaking: `answer` says so
        answer
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes ztunnel's answer about an added pod.
    fn settle(
        &self,
        uid: &str,
        answer: Result<Result<(), String>, oneshot::error::RecvError>,
    ) -> Result<Delivered, ZdsError> {
        let Ok(answer) = answer else { return Ok(Delivered::NoProxy) };
        let mut state = self.state();
        match answer {
            Ok(()) => {
                state.refusals.remove(uid);
                Ok(Delivered::Acknowledged)
            }
            Err(message) => {
                state.refusals.insert(uid.to_owned(), message.clone());
                Err(ZdsError::Refused { uid: uid.to_owned(), message })
            }
        }
    }

    /// Makes a connection the newest, and says what it has to be told first.
    fn register(&self) -> (u64, Vec<ZdsWorkload>, mpsc::UnboundedReceiver<Order>) {
        let (orders, received) = mpsc::unbounded_channel();
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        state.connections.push(Registered { id, orders });
        self.connected.send_replace(state.connections.len());
        (id, state.pods.values().cloned().collect(), received)
    }

    fn unregister(&self, id: u64) {
        let mut state = self.state();
        state.connections.retain(|c| c.id != id);
        self.connected.send_replace(state.connections.len());
    }
}

async fn accept(listener: Listener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok(connection) => drop(tokio::spawn(serve(connection, Arc::clone(&shared)))),
            Err(error) => tracing::warn!(%error, "accepting a ZDS connection"),
        }
        // A ztunnel that connects and fails in a loop must not keep us busy.
        tokio::time::sleep(Duration::from_secs(1) / ZDS_ACCEPTS_PER_SECOND).await;
    }
}

async fn serve(connection: Connection, shared: Arc<Shared>) {
    if let Err(error) = connection.expect_hello().await {
        return tracing::warn!(%error, "ZDS connection refused");
    }
    let (id, snapshot, orders) = shared.register();
    tracing::info!(id, pods = snapshot.len(), "ztunnel connected");
    let ended = converse(&connection, &shared, snapshot, orders).await;
    shared.unregister(id);
    match ended {
        Ok(()) => tracing::info!(id, "ztunnel disconnected"),
        Err(error) => tracing::warn!(id, %error, "ZDS connection ended"),
    }
}

async fn converse(
    connection: &Connection,
    shared: &Shared,
    snapshot: Vec<ZdsWorkload>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) -> io::Result<()> {
    for workload in snapshot {
        let uid = workload.uid.clone();
        let answer = connection.tell(&What::Add(workload)).await?;
        if let Err(error) = shared.settle(&uid, Ok(answer)) {
            tracing::warn!(%error, "in the snapshot"); // it tries again by itself
        }
    }
    connection.snapshot_sent().await?;
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            ended = connection.ended() => return ended,
        };
        let Some(Order { what, done }) = order else { return Ok(()) };
        let _ = done.send(connection.tell(&what).await?); // nobody waits for it any more
    }
}
