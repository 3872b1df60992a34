//! Keys of JWT providers that name an address instead of keys: fetched beside the requests, kept while they are wanted.
//!
//! A request never fetches. One that brings a token before the first fetch ended waits for it (bounded); after that the
//! last good keys hold until new ones come, or until they are too old, and then no token of that provider passes.
//! Redirects are not followed: where keys come from is the cluster's to say. Envoy: `jwks_async_fetcher`, `jwks_fetcher`.

use super::call::{Call, CallError, call};
use super::http::exchange::forward::Prepared;
use super::worker::{Process, Worker};
use crate::limits;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::uri::{InvalidUri, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use waypoint_core::limits::JWKS_BYTES_MAX;
use waypoint_core::model::jwks::Jwks;
use waypoint_core::model::jwt::RemoteJwks;
use waypoint_core::policy::jwt::jwks::{self, JwksError};
use waypoint_core::policy::jwt::{Fetched, RemoteKeys};

/// What was fetched, for all workers.
#[derive(Default)]
pub struct JwksCache {
    keys: ArcSwap<RemoteKeys>,
    changed: watch::Sender<()>,
}

impl JwksCache {
    #[must_use]
    pub fn load(&self) -> arc_swap::Guard<Arc<RemoteKeys>> {
        self.keys.load()
    }

    /// Returns when something is known of the source, or at the deadline.
    pub async fn known(&self, source: &RemoteJwks, deadline: Instant) {
        let mut changed = self.changed.subscribe();
        while self.load().of(source).is_none() {
            if !matches!(timeout_at(deadline, changed.changed()).await, Ok(Ok(()))) {
                return;
            }
        }
    }

    fn set(&self, source: &Arc<RemoteJwks>, fetched: &Fetched) {
        self.update(|keys| {
            keys.fetched.insert(source.clone(), fetched.clone());
        });
    }

    /// Forgets what nothing asks for any more.
    fn retain(&self, wanted: &HashSet<Arc<RemoteJwks>>) {
        if self.load().fetched.keys().any(|source| !wanted.contains(source)) {
            self.update(|keys| keys.fetched.retain(|source, _| wanted.contains(source)));
        }
    }

    fn update(&self, change: impl Fn(&mut RemoteKeys)) {
        self.keys.rcu(|keys| {
            let mut keys = RemoteKeys::clone(keys);
            change(&mut keys);
            keys
        });
        self.changed.send_replace(());
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the address is none: {0}")]
    Address(#[from] InvalidUri),
    #[error("the host is no header value")]
    Host(#[from] http::header::InvalidHeaderValue),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("the answer is no usable key set: {0}")]
    Keys(#[from] JwksError),
}

/// Fetches what the configuration wants, for as long as the process lives. With pools of its own: it is no worker.
pub async fn fetch(process: Arc<Process>) {
    let worker = Worker::new(process.clone());
    tokio::spawn(worker.clone().keep_house());
    let mut published = process.published.clone();
    let mut running: HashMap<Arc<RemoteJwks>, AbortHandle> = HashMap::new();
    loop {
        let wanted = worker.snapshot().remote_jwks();
        running.retain(|source, task| {
            let keep = wanted.contains(source) && !task.is_finished();
            if !keep {
                task.abort();
            }
            keep
        });
        process.jwks.retain(&wanted);
        for source in wanted {
            let start = || tokio::spawn(keep(worker.clone(), source.clone())).abort_handle();
            running.entry(source.clone()).or_insert_with(start);
        }
        if published.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps the keys of one source fresh; never returns.
async fn keep(worker: Arc<Worker>, source: Arc<RemoteJwks>) {
    let mut good: Option<Instant> = None;
    let mut failing = false;
    loop {
        let pause = match with_retries(&worker, &source).await {
            Ok(keys) => {
                worker.process.jwks.set(&source, &Fetched::Keys(Arc::new(keys)));
                (good, failing) = (Some(Instant::now()), false);
                source.cache_duration
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(cluster = &*source.cluster, host = &*source.authority, path = &*source.path, %error, "no keys for tokens");
                }
                if good.is_none_or(|good| good.elapsed() >= source.cache_duration + limits::JWKS_LAST_GOOD) {
                    worker.process.jwks.set(&source, &Fetched::Failed);
                }
                source.refetch_after_failure
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn with_retries(worker: &Arc<Worker>, source: &RemoteJwks) -> Result<Jwks, FetchError> {
    let mut ceiling = source.back_off_base;
    let mut retries = source.retries;
    loop {
        match once(worker, source).await {
            Err(error) if retries > 0 => {
                tracing::debug!(%error, retries, "fetching keys again");
                tokio::time::sleep(random_up_to(worker, ceiling)).await;
                retries -= 1;
                ceiling = (ceiling * 2).min(source.back_off_max);
            }
            result => return result,
        }
    }
}

/// Envoy: fully jittered.
fn random_up_to(worker: &Worker, ceiling: Duration) -> Duration {
    let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(worker.dice().below(millis))
}

async fn once(worker: &Arc<Worker>, source: &RemoteJwks) -> Result<Jwks, FetchError> {
    let path = PathAndQuery::try_from(&*source.path)?;
    let host = HeaderValue::try_from(&*source.authority)?;
    let request = Call {
        cluster: source.cluster.clone(),
        prepared: Prepared::new(Method::GET, path, host, HeaderMap::new()),
        body: Bytes::new(),
        always_http2: false,
        timeout: Some(source.timeout),
        max_answer: JWKS_BYTES_MAX,
    };
    let reply = call(worker, &worker.snapshot(), request).await?;
    if reply.status != StatusCode::OK {
        return Err(FetchError::Status(reply.status));
    }
    Ok(jwks::parse(&reply.body)?)
}

#[cfg(test)]
mod tests;
