//! Idle inner connections of one worker, for the next request to the same endpoint.
//!
//! Keyed by the workload's uid beside its address: an entry of a pod that is gone can never serve its successor on the
//! same address. Invariant: a connection is either leased to one request (HTTP/1), shared (HTTP/2), or idle here.

use super::destination::Destination;
use super::error::UpstreamError;
use super::http::Sender;
use super::transport::{Connected, Transport};
use crate::limits;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use waypoint_core::model::cluster::Cluster;
use waypoint_core::model::endpoint::EndpointAddress;
use waypoint_core::model::route::ClusterName;
use waypoint_core::store::Snapshot;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    cluster: ClusterName,
    address: EndpointAddress,
    uid: Arc<str>,
    http2: bool,
}

struct Idle {
    sender: Sender,
    local: Option<SocketAddr>,
    requests: u32,
    since: Instant,
    timeout: Duration,
}

/// A connection others use at the same time.
#[derive(Clone)]
struct Multiplexed {
    sender: hyper::client::conn::http2::SendRequest<crate::proxy::http::body::UpstreamBody>,
    local: Option<SocketAddr>,
    /// Requests in flight, and ever.
    active: Arc<AtomicU32>,
    total: Arc<AtomicU32>,
}

#[derive(Default)]
struct State {
    http1: HashMap<Key, Vec<Idle>>,
    http2: HashMap<Key, Vec<Multiplexed>>,
    /// One HTTP/2 handshake per endpoint at a time: the others wait for its connection.
    dialling: HashMap<Key, Arc<tokio::sync::Mutex<()>>>,
}

/// All idle connections of a worker. Cheap to clone.
#[derive(Clone, Default)]
pub struct HttpPool(Arc<Mutex<State>>);

/// One request's hold on a connection.
pub struct Lease {
    pub sender: Sender,
    pub local: Option<SocketAddr>,
    /// It was there before this request: the endpoint may just have closed it.
    pub reused: bool,
    key: Key,
    requests: u32,
    max_requests: u32,
    timeout: Duration,
    pool: HttpPool,
    _active: Option<Active>,
}

/// Counts as a request in flight on a shared connection.
struct Active(Arc<AtomicU32>);

impl Active {
    fn on(count: Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl HttpPool {
    /// An idle connection, when there is one.
    pub async fn idle(&self, to: &Destination, cluster: &Cluster, http2: bool) -> Option<Lease> {
        let key = Key { cluster: cluster.name.clone(), address: to.address.clone(), uid: to.uid(), http2 };
        loop {
            let mut lease = if http2 { self.shared(&key, cluster) } else { self.take(&key, cluster) }?;
            if !lease.sender.is_closed() && lease.sender.is_usable().await {
                return Some(lease);
            }
            if http2 {
                self.drop_closed(&key);
            }
        }
    }

    /// A fresh connection. `held` lives as long as it does.
    ///
    /// # Errors
    /// When the endpoint cannot be reached.
    pub async fn open<H: Send + 'static>(
        &self,
        transport: &Transport,
        to: &Destination,
        (cluster, http2): (&Cluster, bool),
        held: H,
    ) -> Result<Lease, UpstreamError> {
        let key = Key { cluster: cluster.name.clone(), address: to.address.clone(), uid: to.uid(), http2 };
        if !http2 {
            let Connected { stream, local } = transport.connect(to, cluster).await?;
            let sender = Sender::http1(stream, held).await?;
            return Ok(self.lease(key, cluster, (sender, local, 0, None)));
        }
        let dialling = self.lock().dialling.entry(key.clone()).or_default().clone();
        let _turn = dialling.lock().await;
        if let Some(lease) = self.shared(&key, cluster).filter(|lease| !lease.sender.is_closed()) {
            return Ok(lease);
        }
        let Connected { stream, local } = transport.connect(to, cluster).await?;
        let sender = Sender::http2(stream, held).await?;
        if let Sender::Http2(sender) = &sender {
            let connection =
                Multiplexed { sender: sender.clone(), local, active: Arc::default(), total: Arc::default() };
            self.lock().http2.entry(key.clone()).or_default().push(connection);
        }
        let lease = self.shared(&key, cluster);
        Ok(lease.unwrap_or_else(|| self.lease(key, cluster, (sender, local, 0, None))))
    }

    /// Closes what is idle for too long, closed, or leads to a workload that is gone.
    pub fn sweep(&self, now: Instant, snapshot: &Snapshot) {
        let alive = |key: &Key| key.uid.is_empty() || snapshot.workloads.by_uid(&key.uid).is_some();
        let mut state = self.lock();
        state.http1.retain(|key, idle| {
            idle.retain(|one| alive(key) && !one.sender.is_closed() && now - one.since < one.timeout);
            !idle.is_empty()
        });
        state.http2.retain(|key, connections| {
            connections.retain(|one| alive(key) && !one.sender.is_closed());
            !connections.is_empty()
        });
        let State { http2, dialling, .. } = &mut *state;
        dialling.retain(|key, lock| http2.contains_key(key) || Arc::strong_count(lock) > 1);
    }

    fn take(&self, key: &Key, cluster: &Cluster) -> Option<Lease> {
        let mut state = self.lock();
        let idle = state.http1.get_mut(key)?.pop()?;
        drop(state);
        let mut lease = self.lease(key.clone(), cluster, (idle.sender, idle.local, idle.requests, None));
        lease.reused = true;
        Some(lease)
    }

    fn shared(&self, key: &Key, cluster: &Cluster) -> Option<Lease> {
        let max = cluster.pool.max_requests_per_connection.filter(|max| *max > 0).unwrap_or(u32::MAX);
        let state = self.lock();
        let found = state.http2.get(key)?.iter().find(|one| {
            let (active, total) = (one.active.load(Ordering::Relaxed), one.total.load(Ordering::Relaxed));
            !one.sender.is_closed() && active < mesh::limits::HBONE_CLIENT_STREAMS as u32 && total < max
        });
        let Multiplexed { sender, local, active, total } = found?.clone();
        drop(state);
        let earlier = total.fetch_add(1, Ordering::Relaxed);
        let mut lease =
            self.lease(key.clone(), cluster, (Sender::Http2(sender), local, 0, Some(Active::on(active))));
        lease.reused = earlier > 0;
        Some(lease)
    }

    fn lease(
        &self,
        key: Key,
        cluster: &Cluster,
        (sender, local, requests, active): (Sender, Option<SocketAddr>, u32, Option<Active>),
    ) -> Lease {
        Lease {
            sender,
            local,
            reused: false,
            key,
            requests: requests + 1,
            max_requests: cluster.pool.max_requests_per_connection.filter(|max| *max > 0).unwrap_or(u32::MAX),
            timeout: cluster.pool.idle_timeout.unwrap_or(limits::UPSTREAM_IDLE),
            pool: self.clone(),
            _active: active,
        }
    }

    fn drop_closed(&self, key: &Key) {
        let mut state = self.lock();
        if let Some(connections) = state.http2.get_mut(key) {
            connections.retain(|one| !one.sender.is_closed());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Back to the pool, after request and response both ended in good order.
    pub fn release(self) {
        let Self { sender, local, key, requests, max_requests, timeout, pool, .. } = self;
        // A shared connection is in the pool already.
        if matches!(sender, Sender::Http2(_)) || requests >= max_requests || sender.is_closed() {
            return;
        }
        let mut state = pool.lock();
        let idle = state.http1.entry(key).or_default();
        if idle.len() < limits::IDLE_PER_ENDPOINT {
            idle.push(Idle { sender, local, requests, since: Instant::now(), timeout });
        }
    }

    #[must_use]
    pub fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }
}
