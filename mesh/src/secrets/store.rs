//! Every identity's current certificate, and the tasks that keep them fresh.
//!
//! Invariants: one task per identity, and its requests one after the other; at most `limits::CSR_CONCURRENCY` requests of all of
//! them at once; a certificate that is still valid is never replaced by a failure.

use crate::identity::{Certificate, CertificateInfo, SpiffeId};
use crate::limits;
use crate::secrets::{CaClient, CaError, Schedule, crl};
use crate::tls::{TlsIdentity, TlsOptions};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// How certificates are kept.
#[derive(Debug, Clone, Default)]
pub struct StoreOptions {
    /// Trust domains beside the certificate's own whose workloads a server accepts.
    pub trust_domain_aliases: Vec<String>,
    /// Revocation lists; read again when the file changes. A file that is not there revokes nobody, one that is none
    /// leaves the last good lists in force.
    pub crl: Option<PathBuf>,
}

/// All certificates of the process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SecretStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    source: Source,
    entries: Mutex<BTreeMap<SpiffeId, Entry>>,
}

/// Where certificates come from.
#[derive(Debug)]
enum Source {
    Ca {
        runtime: Handle,
        worker: Arc<Worker>,
    },
    /// None but those it was made with.
    #[cfg(feature = "testing")]
    Fixed,
}

/// What the identities' tasks share.
#[derive(Debug)]
struct Worker {
    ca: CaClient,
    requests: Semaphore,
    /// Changes with the revocation lists.
    tls: watch::Receiver<TlsOptions>,
}

#[derive(Debug)]
struct Entry {
    state: watch::Receiver<State>,
    task: Option<AbortHandle>,
}

#[derive(Debug, Clone)]
enum State {
    Initializing,
    /// The latest certificate, which may have expired, and the failure to renew it.
    Held(Arc<TlsIdentity>, Option<CaError>),
    Failed(CaError),
}

/// One identity, for a config dump.
#[derive(Debug, Clone)]
pub struct CertificateState {
    /// As asked for.
    pub identity: SpiffeId,
    /// Whether there is a certificate.
    pub status: CertificateStatus,
    /// Leaf first; empty without a certificate.
    pub chain: Vec<CertificateInfo>,
    /// Trust anchors; empty without a certificate.
    pub roots: Vec<CertificateInfo>,
}

/// Whether an identity has a certificate. Displayed as ztunnel's config dump does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateStatus {
    /// The first request has not been answered.
    Initializing,
    /// There is a valid one.
    Available,
    /// There is none, and why.
    Unavailable(String),
}

impl SecretStore {
    /// Requests and rotations run on the tokio runtime this is called in.
    #[must_use]
    pub fn new(ca: CaClient, options: StoreOptions) -> Self {
        let runtime = Handle::current();
        let tls = crl::follow(&runtime, options);
        let worker = Arc::new(Worker { ca, requests: Semaphore::new(limits::CSR_CONCURRENCY), tls });
        let source = Source::Ca { runtime, worker };
        Self { inner: Arc::new(Inner { source, entries: Mutex::default() }) }
    }

    /// A store that holds exactly these, and never asks anyone for others.
    ///
    /// # Panics
    /// When a certificate does not fit its key.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn fixed(certificates: Vec<Certificate>) -> Self {
        let entry = |certificate: Certificate| {
            let id = certificate.identity.clone();
            let identity = TlsIdentity::new(Arc::new(certificate), &TlsOptions::default())
                .expect("a test's certificate fits its key");
            (id, Entry { state: watch::channel(State::Held(Arc::new(identity), None)).1, task: None })
        };
        let entries = Mutex::new(certificates.into_iter().map(entry).collect());
        Self { inner: Arc::new(Inner { source: Source::Fixed, entries }) }
    }

    /// The current certificate. Waits for the outcome of the first request, which may be its failure; later failures show
    /// only once no valid certificate is left.
    pub async fn identity(&self, id: &SpiffeId) -> Result<Arc<TlsIdentity>, CaError> {
        let mut state = self.watch(id);
        let known = state.wait_for(|state| !matches!(state, State::Initializing)).await;
        known.map_err(|_| CaError::Forgotten)?.usable(SystemTime::now())
    }

    /// The current, still valid certificate, if there is one.
    #[must_use]
    pub fn current(&self, id: &SpiffeId) -> Option<Arc<TlsIdentity>> {
        let entries = self.entries();
        let state = entries.get(id)?.state.borrow();
        state.usable(SystemTime::now()).ok()
    }

    /// Starts fetching, without waiting.
    pub fn prefetch(&self, id: &SpiffeId) {
        self.watch(id);
    }

    /// Drops the certificate and stops its rotation. Who waits for it hears [`CaError::Forgotten`].
    pub fn forget(&self, id: &SpiffeId) {
        self.entries().remove(id);
    }

    /// Every identity, ordered.
    #[must_use]
    pub fn states(&self) -> Vec<CertificateState> {
        let now = SystemTime::now();
        self.entries().iter().map(|(id, entry)| entry.state.borrow().describe(id, now)).collect()
    }

    fn watch(&self, id: &SpiffeId) -> watch::Receiver<State> {
        let mut entries = self.entries();
        if let Some(entry) = entries.get(id) {
            return entry.state.clone();
        }
        let entry = self.inner.source.start(id);
        let state = entry.state.clone();
        entries.insert(id.clone(), entry);
        state
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<SpiffeId, Entry>> {
        self.inner.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn start(&self, id: &SpiffeId) -> Entry {
        match self {
            Self::Ca { runtime, worker } => {
                let (sender, state) = watch::channel(State::Initializing);
                let task = runtime.spawn(Arc::clone(worker).keep(id.clone(), sender));
                Entry { state, task: Some(task.abort_handle()) }
            }
            #[cfg(feature = "testing")]
            Self::Fixed => {
                let status = tonic::Status::not_found("not among the fixed certificates");
                Entry { state: watch::channel(State::Failed(CaError::Rpc(Arc::new(status)))).1, task: None }
            }
        }
    }
}

impl Worker {
    /// Keeps one identity's certificate fresh until the task is aborted.
    async fn keep(self: Arc<Self>, id: SpiffeId, state: watch::Sender<State>) {
        let mut schedule = Schedule::default();
        let mut tls = self.tls.clone();
        loop {
            match self.fetch(&id, &mut tls).await {
                Ok(identity) => {
                    let certificate = Arc::clone(identity.certificate());
                    tracing::debug!(identity = %id, serial = certificate.serial, "certificate issued");
                    let due = schedule.succeeded(certificate.not_before, certificate.not_after, roll());
                    state.send_replace(State::Held(identity, None));
                    // Never at once again, or a CA that issues expired certificates would be asked in a loop.
                    sleep(limits::CSR_BACKOFF_MIN).await;
                    hold(&certificate, due, &mut tls, &state).await;
                }
                Err(error) => {
                    let wait = schedule.failed(roll());
                    tracing::warn!(identity = %id, %error, retry_in = ?wait, "certificate request failed");
                    state.send_modify(|state| state.failed(error));
                    sleep(wait).await;
                }
            }
        }
    }

    async fn fetch(
        &self,
        id: &SpiffeId,
        tls: &mut watch::Receiver<TlsOptions>,
    ) -> Result<Arc<TlsIdentity>, CaError> {
        let _permit = self.requests.acquire().await.expect("this semaphore is never closed");
        let certificate = self.ca.fetch(id).await?;
        let options = tls.borrow_and_update().clone();
        Ok(Arc::new(TlsIdentity::new(Arc::new(certificate), &options)?))
    }
}

/// Until `due`, follows the revocation lists with the certificate there is.
async fn hold(
    certificate: &Arc<Certificate>,
    due: SystemTime,
    tls: &mut watch::Receiver<TlsOptions>,
    state: &watch::Sender<State>,
) {
    let mut renewal = pin!(sleep_until(due));
    loop {
        tokio::select! {
            () = &mut renewal => return,
            // An error means that there is no file to change, and leaves only the renewal to wait for.
            Ok(()) = tls.changed() => {}
        }
        let options = tls.borrow_and_update().clone();
        match TlsIdentity::new(Arc::clone(certificate), &options) {
            Ok(identity) => drop(state.send_replace(State::Held(Arc::new(identity), None))),
            Err(error) => tracing::error!(%error, "revocation lists cannot be put in force"),
        }
    }
}

impl State {
    fn failed(&mut self, error: CaError) {
        match self {
            Self::Held(_, failure) => *failure = Some(error),
            Self::Initializing | Self::Failed(_) => *self = Self::Failed(error),
        }
    }

    fn usable(&self, now: SystemTime) -> Result<Arc<TlsIdentity>, CaError> {
        match self {
            Self::Held(identity, _) if now < identity.certificate().not_after => Ok(Arc::clone(identity)),
            Self::Held(_, failure) => {
                Err(CaError::Expired(failure.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)))
            }
            Self::Failed(error) => Err(error.clone()),
            Self::Initializing => Err(CaError::Forgotten),
        }
    }

    fn describe(&self, id: &SpiffeId, now: SystemTime) -> CertificateState {
        let status = match (self, self.usable(now)) {
            (Self::Initializing, _) => CertificateStatus::Initializing,
            (_, Ok(_)) => CertificateStatus::Available,
            (_, Err(error)) => CertificateStatus::Unavailable(error.to_string()),
        };
        let (chain, roots) = match self {
            Self::Held(identity, _) => {
                let certificate = identity.certificate();
                (certificate.chain_info.clone(), certificate.roots_info.clone())
            }
            Self::Initializing | Self::Failed(_) => Default::default(),
        };
        CertificateState { identity: id.clone(), status, chain, roots }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl fmt::Display for CertificateStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Initializing => f.write_str("Initializing"),
            Self::Available => f.write_str("Available"),
            Self::Unavailable(reason) => write!(f, "Unavailable: {reason}"),
        }
    }
}

/// Wakes within a minute of the wall clock's `due`, also when the machine slept or its clock was set.
async fn sleep_until(due: SystemTime) {
    while let Ok(left) = due.duration_since(SystemTime::now()) {
        sleep(left.min(limits::CLOCK_CHECK)).await;
    }
}

fn roll() -> f64 {
    fastrand::f64().mul_add(2.0, -1.0)
}

#[cfg(test)]
mod tests;
