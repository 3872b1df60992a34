//! The data plane's threads: one current-thread runtime each, so that a connection's wakeups, pools and buffers never cross
//! cores. A new connection goes to the worker with the fewest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// One thread.
#[derive(Clone, Debug)]
pub struct Worker {
    index: usize,
    runtime: Handle,
    load: Arc<AtomicUsize>,
}

/// Counts as load while it lives.
struct Load(Arc<AtomicUsize>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Worker {
    /// Index among the workers; pools are kept by it.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Runs a connection here.
    pub fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        self.load.fetch_add(1, Ordering::Relaxed);
        let load = Load(self.load.clone());
        self.runtime.spawn(async move {
            let _load = load;
            connection.await;
        });
    }

    /// Runs something that is no connection here.
    pub fn spawn_service(&self, service: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(service);
    }
}

/// All threads; they end when this is dropped.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    _running: watch::Sender<()>,
}

impl Workers {
    /// # Errors
    /// When a thread or its runtime cannot be made.
    pub fn start(count: usize) -> io::Result<Self> {
        let (running, stopped) = watch::channel(());
        let workers =
            (0..count.max(1)).map(|index| start(index, stopped.clone())).collect::<io::Result<_>>()?;
        Ok(Self { workers, _running: running })
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// Where the next connection goes. Ties go to the first: the counts are read without a lock, and near enough is good enough.
    #[must_use]
    pub fn least_loaded(&self) -> &Worker {
        self.workers
            .iter()
            .min_by_key(|worker| worker.load.load(Ordering::Relaxed))
            .expect("start() makes at least one worker")
    }

    /// A worker for what runs as long as a pod, the same for equal `seed`.
    #[must_use]
    pub fn for_service(&self, seed: usize) -> &Worker {
        &self.workers[seed % self.workers.len()]
    }
}

fn start(index: usize, mut stopped: watch::Receiver<()>) -> io::Result<Worker> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let worker = Worker { index, runtime: runtime.handle().clone(), load: Arc::default() };
    thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        runtime.block_on(async {
            // Never changes: an error tells that the owner is gone.
            let _ = stopped.changed().await;
        });
    })?;
    Ok(worker)
}
