//! Idle inner connections of one worker, for the next request to the same endpoint.
//!
//! Keyed by the workload's uid beside its address: an entry of a pod that is gone can never serve its successor on the
//! same address. Invariant: a connection is either leased to one request (HTTP/1), shared (HTTP/2), or idle here.

use super::destination::Destination;
use super::error::UpstreamError;
use super::http::Sender;
use super::proxy_header::ProxyHeader;
use super::transport::{Connected, Transport};
use crate::limits;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use waypoint_core::model::cluster::{Cluster, Transport as ClusterTransport};
use waypoint_core::model::endpoint::EndpointAddress;
use waypoint_core::model::route::ClusterName;
use waypoint_core::store::Snapshot;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    cluster: ClusterName,
    address: EndpointAddress,
    uid: Arc<str>,
    http2: bool,
    /// The TLS settings; a cluster that changes them must not go on with connections made before.
    tls: Option<u64>,
    host: Option<Arc<str>>,
    proxy_header: Option<ProxyHeader>,
}

impl Key {
    fn new(to: &Destination, cluster: &Cluster, http2: bool) -> Self {
        let tls = match &cluster.transport {
            ClusterTransport::ByEndpoint => None,
            ClusterTransport::Tls(settings) => Some(settings.content_hash),
        };
        Self {
            cluster: cluster.name.clone(),
            address: to.address.clone(),
            uid: to.uid(),
            http2,
            tls,
            host: to.host.clone(),
            proxy_header: to.proxy_header,
        }
    }
}

struct Idle {
    sender: Sender,
    expires: Option<Instant>,
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
    expires: Option<Instant>,
    timeout: Duration,
    active: Arc<InFlight>,
    /// Requests ever.
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
    expires: Option<Instant>,
    requests: u32,
    max_requests: u32,
    timeout: Duration,
    pool: HttpPool,
    _active: Option<Active>,
}

/// Requests in flight on a shared connection, and since when there is none.
struct InFlight {
    count: AtomicU32,
    idle_since: Mutex<Instant>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self { count: AtomicU32::new(0), idle_since: Mutex::new(Instant::now()) }
    }
}

impl InFlight {
    fn is_idle(&self, now: Instant, timeout: Duration) -> bool {
        let since = *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
        self.count.load(Ordering::Relaxed) == 0 && now.saturating_duration_since(since) >= timeout
    }
}

/// Counts as a request in flight.
struct Active(Arc<InFlight>);

impl Active {
    fn on(in_flight: Arc<InFlight>) -> Self {
        in_flight.count.fetch_add(1, Ordering::Relaxed);
        Self(in_flight)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection on its way into a lease.
struct Held {
    sender: Sender,
    local: Option<SocketAddr>,
    expires: Option<Instant>,
    /// Requests before this one.
    requests: u32,
    active: Option<Active>,
}

impl Held {
    fn fresh(sender: Sender, local: Option<SocketAddr>, cluster: &Cluster) -> Self {
        Self { sender, local, expires: expiry(cluster), requests: 0, active: None }
    }
}

/// Envoy: `max_connection_duration`; a connection past it ends with the requests it has.
fn expiry(cluster: &Cluster) -> Option<Instant> {
    cluster.pool.max_connection_duration.map(|max| Instant::now() + max)
}

fn is_young(expires: Option<Instant>) -> bool {
    expires.is_none_or(|expires| Instant::now() < expires)
}

impl HttpPool {
    /// An idle connection, when there is one.
    pub async fn idle(&self, to: &Destination, cluster: &Cluster, http2: bool) -> Option<Lease> {
        let key = Key::new(to, cluster, http2);
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
        let key = Key::new(to, cluster, http2);
        if !http2 {
            let Connected { stream, local } = transport.connect(to, cluster).await?;
            let sender = Sender::http1(stream, held).await?;
            return Ok(self.lease(key, cluster, Held::fresh(sender, local, cluster)));
        }
        let dialling = self.lock().dialling.entry(key.clone()).or_default().clone();
        let _turn = dialling.lock().await;
        if let Some(lease) = self.shared(&key, cluster).filter(|lease| !lease.sender.is_closed()) {
            return Ok(lease);
        }
        let Connected { stream, local } = transport.connect(to, cluster).await?;
        let sender = Sender::http2(stream, cluster.pool.http2, held).await?;
        if let Sender::Http2(sender) = &sender {
            let connection = Multiplexed {
                sender: sender.clone(),
                local,
                expires: expiry(cluster),
                timeout: cluster.pool.idle_timeout.unwrap_or(limits::UPSTREAM_IDLE),
                active: Arc::new(InFlight::default()),
                total: Arc::default(),
            };
            self.lock().http2.entry(key.clone()).or_default().push(connection);
        }
        let lease = self.shared(&key, cluster);
        Ok(lease.unwrap_or_else(|| self.lease(key, cluster, Held::fresh(sender, local, cluster))))
    }

    /// Closes what is idle for too long, closed, or leads to a workload that is gone.
    pub fn sweep(&self, now: Instant, snapshot: &Snapshot) {
        let alive = |key: &Key| key.uid.is_empty() || snapshot.workloads.by_uid(&key.uid).is_some();
        let mut state = self.lock();
        state.http1.retain(|key, idle| {
            idle.retain(|one| {
                let fresh = now - one.since < one.timeout && is_young(one.expires);
                alive(key) && !one.sender.is_closed() && fresh
            });
            !idle.is_empty()
        });
        state.http2.retain(|key, connections| {
            connections.retain(|one| {
                let fresh = !one.active.is_idle(now, one.timeout) && is_young(one.expires);
                alive(key) && !one.sender.is_closed() && fresh
            });
            !connections.is_empty()
        });
        let State { http2, dialling, .. } = &mut *state;
        dialling.retain(|key, lock| http2.contains_key(key) || Arc::strong_count(lock) > 1);
    }

    fn take(&self, key: &Key, cluster: &Cluster) -> Option<Lease> {
        let mut state = self.lock();
        let kept = state.http1.get_mut(key)?;
        let idle = std::iter::from_fn(|| kept.pop()).find(|idle| is_young(idle.expires))?;
        drop(state);
        let Idle { sender, local, expires, requests, .. } = idle;
        let mut lease =
            self.lease(key.clone(), cluster, Held { sender, local, expires, requests, active: None });
        lease.reused = true;
        Some(lease)
    }

    fn shared(&self, key: &Key, cluster: &Cluster) -> Option<Lease> {
        let max = cluster.pool.max_requests_per_connection.unwrap_or(u32::MAX);
        let streams = mesh::limits::HBONE_CLIENT_STREAMS as u32;
        let streams = cluster.pool.http2.max_concurrent_streams.map_or(streams, |max| max.min(streams));
        let state = self.lock();
        let found = state.http2.get(key)?.iter().find(|one| {
            let (active, total) =
                (one.active.count.load(Ordering::Relaxed), one.total.load(Ordering::Relaxed));
            !one.sender.is_closed() && active < streams && total < max && is_young(one.expires)
        });
        let Multiplexed { sender, local, expires, active, total, .. } = found?.clone();
        drop(state);
        let earlier = total.fetch_add(1, Ordering::Relaxed);
        let sender = Sender::Http2(sender);
        let held = Held { sender, local, expires, requests: 0, active: Some(Active::on(active)) };
        let mut lease = self.lease(key.clone(), cluster, held);
        lease.reused = earlier > 0;
        Some(lease)
    }

    fn lease(&self, key: Key, cluster: &Cluster, held: Held) -> Lease {
        let Held { sender, local, expires, requests, active } = held;
        Lease {
            sender,
            local,
            reused: false,
            key,
            expires,
            requests: requests + 1,
            max_requests: cluster.pool.max_requests_per_connection.unwrap_or(u32::MAX),
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
        let Self { sender, local, key, expires, requests, max_requests, timeout, pool, .. } = self;
        // A shared connection is in the pool already.
        if matches!(sender, Sender::Http2(_)) || requests >= max_requests || sender.is_closed() {
            return;
        }
        let mut state = pool.lock();
        let idle = state.http1.entry(key).or_default();
        if idle.len() < limits::IDLE_PER_ENDPOINT {
            idle.push(Idle { sender, local, expires, requests, since: Instant::now(), timeout });
        }
    }

    #[must_use]
    pub fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }
}
