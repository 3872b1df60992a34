//! One worker: a thread with a runtime of its own, its pools, and the connections it serves.
//!
//! A connection never leaves its worker: what its tasks write in one turn goes out in one system call, and no lock of
//! a worker is ever waited for.

use super::collector::Exports;
use super::jwks::JwksCache;
use super::log_batches::{self, LogBatches};
use super::log_sink::LogSinks;
use super::spans::{self, Spans};
use super::upstream::dynamic::DynamicNames;
use super::upstream::origination::TlsContexts;
use super::upstream::pool::HttpPool;
use super::upstream::transport::{PodDial, Transport};
use crate::limits;
use mesh::hbone::{Pool, PoolOptions};
use mesh::identity::SpiffeId;
use mesh::lifecycle::DrainWatch;
use mesh::secrets::SecretStore;
use mesh::tls::ExpectedPeer;
use std::net::IpAddr;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use waypoint_core::dice::Dice;
use waypoint_core::model::node::NodeInfo;
use waypoint_core::store::{SharedSnapshot, Snapshot};
use waypoint_core::telemetry::metrics::{MetricCache, Metrics};

/// What all workers share.
pub struct Process {
    pub snapshots: SharedSnapshot,
    /// The version published last; workers close what a new one made obsolete.
    pub published: watch::Receiver<u64>,
    pub secrets: SecretStore,
    pub identity: SpiffeId,
    pub local_principal: Arc<str>,
    pub trust_domains: ExpectedPeer,
    pub metrics: Arc<Metrics>,
    pub logs: LogSinks,
    pub exports: Exports,
    pub tls: Arc<TlsContexts>,
    pub names: DynamicNames,
    pub jwks: JwksCache,
    /// Empty: the mesh's only one.
    pub network: Arc<str>,
    /// `<service account>.<namespace>`: whose spans ours are.
    pub service_cluster: Arc<str>,
    pub node: NodeInfo,
    pub drain: DrainWatch,
    /// Tunnels open now, over all workers: what a drain waits for.
    pub tunnels: Arc<AtomicUsize>,
    pub hostname: Box<str>,
    /// Of this pod.
    pub address: Option<IpAddr>,
    /// What the balancer's times count from.
    pub started: Instant,
}

pub struct Worker {
    pub process: Arc<Process>,
    pub transport: Transport,
    pub pool: HttpPool,
    pub mirrors: Arc<AtomicUsize>,
    pub spans: Spans,
    pub log_batches: LogBatches,
    /// Never contended: only this worker's thread uses it.
    metrics: Mutex<MetricCache>,
    seed: AtomicU64,
}

/// The acceptor's view of a worker.
pub struct WorkerHandle {
    pub connections: mpsc::Sender<TcpStream>,
    /// Connections it serves now.
    pub load: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

impl Worker {
    #[must_use]
    pub fn new(process: Arc<Process>) -> Arc<Self> {
        let transport = Transport {
            hbone: Pool::new(PodDial, process.secrets.clone(), PoolOptions::default()),
            source: process.identity.clone(),
            trust_domains: process.trust_domains.clone(),
            secrets: process.secrets.clone(),
            tls: process.tls.clone(),
            network: process.network.clone(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = AtomicU64::new(now.as_nanos() as u64 ^ fastrand::u64(..));
        let (pool, mirrors) = (HttpPool::default(), Arc::default());
        let metrics = Mutex::new(MetricCache::new(process.metrics.clone()));
        let (spans, log_batches) = (Spans::default(), LogBatches::default());
        Arc::new(Self { process, transport, pool, mirrors, spans, log_batches, metrics, seed })
    }

    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.process.snapshots.load_full()
    }

    pub fn metrics(&self) -> MutexGuard<'_, MetricCache> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Randomness of one request.
    #[must_use]
    pub fn dice(&self) -> Dice {
        // Not the step of the dice itself: then one request's second draw would be the next one's first.
        Dice::new(self.seed.fetch_add(0xD1B5_4A32_D192_ED03, Ordering::Relaxed))
    }

    /// Starts the thread; it ends when the acceptor dropped the handle's queue and its connections are gone.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(process: Arc<Process>, index: usize) -> std::io::Result<WorkerHandle> {
        let (connections, queue) = mpsc::channel(limits::HANDOFF_QUEUE);
        let load = Arc::new(AtomicUsize::new(0));
        let counted = load.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            runtime.block_on(Self::new(process).run(queue, counted));
        })?;
        Ok(WorkerHandle { connections, load, thread })
    }

    async fn run(self: Arc<Self>, mut queue: mpsc::Receiver<TcpStream>, load: Arc<AtomicUsize>) {
        let housekeeping = tokio::spawn(self.clone().keep_house());
        let exports = &self.process.exports;
        let exporting =
            [exports.spawn(spans::export(self.clone())), exports.spawn(log_batches::export(self.clone()))];
        let mut connections = tokio::task::JoinSet::new();
        while let Some(stream) = queue.recv().await {
            while connections.try_join_next().is_some() {}
            let (worker, load) = (self.clone(), load.clone());
            connections.spawn(async move {
                super::accept::serve(&worker, stream).await;
                load.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while connections.join_next().await.is_some() {}
        self.transport.hbone.drain();
        housekeeping.abort();
        exporting.iter().for_each(tokio::task::JoinHandle::abort);
    }

    /// Closes idle connections whose time or whose workload is over.
    pub(super) async fn keep_house(self: Arc<Self>) {
        let mut published = self.process.published.clone();
        let mut known = self.snapshot();
        let mut tick = tokio::time::interval(limits::IDLE_SWEEP);
        loop {
            tokio::select! {
                changed = published.changed() => if changed.is_err() { return },
                _ = tick.tick() => {}
            }
            let snapshot = self.snapshot();
            if !Arc::ptr_eq(&snapshot.workloads, &known.workloads) {
                for uid in known.workloads.uids_missing_from(&snapshot.workloads) {
                    self.transport.hbone.evict(uid);
                }
            }
            self.pool.sweep(Instant::now(), &snapshot);
            known = snapshot;
        }
    }
}

impl WorkerHandle {
    /// Waits for the thread; its queue must be closed.
    pub fn join(self) {
        drop(self.connections);
        if self.thread.join().is_err() {
            tracing::error!("a worker panicked");
        }
    }
}
