//! HBONE connections kept for reuse, for one worker (or one pod).
//!
//! Invariants:
//! * Two tunnels share a connection only if their whole [`PoolKey`] is equal: address, both identities, source address, workload.
//! * One dial per key at a time; everybody who waits for it gets its connection or its error. A caller that goes away does
//!   not take the dial with it.
//! * After [`Pool::evict`] returns, no later tunnel uses a connection made before, not even one that is still being dialled.
//! * A CONNECT the peer did not process is tried once more, on a connection made after the first try.
//!
//! The lock is held for map operations only, never across an await; pools are per worker, so it is not contended.
//! Differs from ztunnel: its per-key lock is held across the handshake, serialises warm checkouts too, and a connection
//! that was once full is never used again.

mod dial;
mod slots;

use crate::hbone::client::ClientOptions;
use crate::hbone::error::ConnectError;
use crate::hbone::stream::TunnelStream;
use crate::identity::SpiffeId;
use crate::limits;
use crate::secrets::SecretStore;
use crate::tls::ExpectedPeer;
use dial::establish;
use http::HeaderMap;
use slots::{Checkout, Pooled, Slots};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

/// What makes two tunnels eligible for the same connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// `podIP:15008`.
    pub remote: SocketAddr,
    /// As whom we connect.
    pub source: SpiffeId,
    /// Whom we expect there.
    pub expected: ExpectedPeer,
    /// Address to connect from, where the client's is preserved.
    pub source_ip: Option<IpAddr>,
    /// The destination workload; [`Pool::evict`] names it.
    pub workload_uid: Arc<str>,
}

/// Opens the TCP connection below a tunnel (ztunnel: inside the pod's network namespace).
pub trait Dial: Send + Sync + 'static {
    /// Connects to `remote`, from `source_ip` when given.
    fn dial(
        &self,
        remote: SocketAddr,
        source_ip: Option<IpAddr>,
    ) -> impl Future<Output = io::Result<TcpStream>> + Send;
}

/// Bounds of a pool; the defaults and their reasons are in `limits`.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Streams per connection.
    pub max_streams: usize,
    /// A connection without streams closes after this.
    pub idle_timeout: Duration,
    /// For TCP; TLS has `limits::HANDSHAKE_TIMEOUT`.
    pub dial_timeout: Duration,
    /// HTTP/2.
    pub http2: ClientOptions,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_streams: limits::HBONE_CLIENT_STREAMS,
            idle_timeout: limits::HBONE_IDLE,
            dial_timeout: limits::DIAL_TIMEOUT,
            http2: ClientOptions::default(),
        }
    }
}

/// An open tunnel.
#[derive(Debug)]
pub struct Tunnel {
    /// The bytes.
    pub stream: TunnelStream,
    /// Headers of the 200.
    pub headers: HeaderMap,
    /// Our end of the TCP connection below.
    pub connection_local_addr: SocketAddr,
    /// The connection was there before.
    pub reused: bool,
}

/// HBONE connections of one worker (or one pod). Cheap to clone.
pub struct Pool<D> {
    inner: Arc<Inner<D>>,
}

struct Inner<D> {
    dial: D,
    secrets: SecretStore,
    options: PoolOptions,
    slots: Mutex<Slots>,
}

/// What a dial tells those who wait for it.
type Dialled = Option<Result<Arc<Pooled>, ConnectError>>;

impl<D> Clone for Pool<D> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<D> Inner<D> {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Dial> Pool<D> {
    /// An empty pool. Connections run on the tokio runtime that `connect` is called in.
    #[must_use]
    pub fn new(dial: D, secrets: SecretStore, options: PoolOptions) -> Self {
        Self { inner: Arc::new(Inner { dial, secrets, options, slots: Mutex::default() }) }
    }

    /// Opens a tunnel to `authority`, over a pooled connection if there is one.
    pub async fn connect(
        &self,
        key: &PoolKey,
        authority: &str,
        headers: HeaderMap,
    ) -> Result<Tunnel, ConnectError> {
        let mut newer_than = 0;
        loop {
            let first_try = newer_than == 0;
            let Checkout { pooled, lease, reused } = self.checkout(key, newer_than).await?;
            let opened = pooled.connection.connect_leased(authority, headers.clone(), Some(lease)).await;
            match opened {
                Ok((stream, headers)) => {
                    let connection_local_addr = pooled.local_addr;
                    return Ok(Tunnel { stream, headers, connection_local_addr, reused });
                }
                Err(error) if first_try && was_not_processed(&error, reused) => {
                    newer_than = self.inner.slots().last_serial();
                    self.inner.slots().remove(key, &pooled);
                }
                Err(error) => {
                    if !matches!(error, ConnectError::Refused(_) | ConnectError::Authority(_)) {
                        self.forget_if_closed(key, &pooled);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Drops the connections to a workload that is gone; streams in flight end by themselves.
    pub fn evict(&self, workload_uid: &str) {
        self.inner.slots().evict(workload_uid);
    }

    /// Lets every connection end with its last stream; later tunnels get connections of their own.
    pub fn drain(&self) {
        self.inner.slots().drain();
    }

    /// Connections kept now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.inner.slots().connections()
    }

    fn forget_if_closed(&self, key: &PoolKey, pooled: &Arc<Pooled>) {
        if !pooled.connection.is_open() {
            self.inner.slots().remove(key, pooled);
        }
    }

    /// A stream's place on a connection newer than `newer_than`: a kept one, or the next one dialled.
    async fn checkout(&self, key: &PoolKey, newer_than: u64) -> Result<Checkout, ConnectError> {
        let limit = self.inner.options.max_streams;
        loop {
            let mut dialled = {
                let mut slots = self.inner.slots();
                if let Some(checkout) = slots.checkout(key, newer_than, limit) {
                    return Ok(checkout);
                }
                match slots.dialling(key) {
                    Some(dialled) => dialled,
                    None => self.start_dial(&mut slots, key),
                }
            };
            // Awaited apart from the lock, and cloned out of the watch before the next await.
            let outcome = match dialled.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                Err(_) => None,
            };
            let pooled = outcome.unwrap_or_else(|| Err(dial_interrupted()))?;
            // Many may have waited; those who find it full go round again.
            if let Some(lease) = pooled.streams.lease(limit) {
                return Ok(Checkout { pooled, lease, reused: false });
            }
        }
    }

    fn start_dial(&self, slots: &mut Slots, key: &PoolKey) -> watch::Receiver<Dialled> {
        let (done, dialled) = watch::channel(None);
        let serial = slots.start_dial(key, dialled.clone());
        let inner = Arc::clone(&self.inner);
        let key = key.clone();
        tokio::spawn(async move {
            let made = establish(&inner.dial, &inner.secrets, &inner.options, &key).await;
            let outcome = match made {
                Ok((connection, local_addr, driver)) => {
                    let pooled = Pooled::new(connection, local_addr, serial);
                    let kept = inner.slots().finish_dial(&key, &pooled);
                    let watched = kept.then(|| (Arc::downgrade(&inner), inner.options.idle_timeout));
                    let weak = Arc::downgrade(&pooled);
                    tokio::spawn(async move {
                        match watched {
                            Some((pool, idle)) => drive_until_idle(driver, pool, key, (weak, idle)).await,
                            None => driver.await,
                        }
                    });
                    Ok(pooled)
                }
                Err(error) => {
                    inner.slots().fail_dial(&key, serial);
                    Err(error)
                }
            };
            // Nobody may be waiting any more; the connection is kept all the same.
            done.send_replace(Some(outcome));
        });
        dialled
    }
}

/// Drives a kept connection, and takes it out of the pool when it is idle for `idle` or at its end.
async fn drive_until_idle<D>(
    mut driver: crate::hbone::client::Driver,
    pool: Weak<Inner<D>>,
    key: PoolKey,
    (pooled, idle): (Weak<Pooled>, Duration),
) {
    let mut wait = idle;
    loop {
        tokio::select! {
            () = &mut driver => break,
            () = sleep(wait) => {}
        }
        let (Some(pool), Some(pooled)) = (pool.upgrade(), pooled.upgrade()) else {
            // No longer kept, or the pool is gone: whoever still holds streams decides how long it lives.
            return driver.await;
        };
        // Once removed, its last handle goes with `pooled`, which ends the driver; the timer is then of no account.
        wait = pool.slots().remove_if_idle(&key, &pooled, idle).unwrap_or(idle);
    }
    if let (Some(pool), Some(pooled)) = (pool.upgrade(), pooled.upgrade()) {
        pool.slots().remove(&key, &pooled);
    }
}

/// True when the peer certainly did not act on the CONNECT, or can have done no more than open a connection to its
/// application: no byte of the caller's was sent before the answer. The latter is only assumed of a connection that sat in
/// the pool, where it is far more often that the peer closed it meanwhile.
fn was_not_processed(error: &ConnectError, reused: bool) -> bool {
    match error {
        ConnectError::Reset(error) => {
            // GOAWAY with another reason blames us; saying the same again would cost a second connection.
            (error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR))
                || error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (reused && error.is_io())
        }
        _ => false,
    }
}

fn dial_interrupted() -> ConnectError {
    ConnectError::Dial(Arc::new(io::Error::new(io::ErrorKind::Interrupted, "the dialling task ended")))
}

#[cfg(test)]
mod tests;
