//! One endpoint with what is learnt about it at run time.

use crate::model::endpoint::{Endpoint, EndpointAddress, Health, Locality};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use xxhash_rust::xxh64::xxh64;

/// Stands for an address, across versions of the endpoints; two addresses share one with a chance of 2⁻⁶⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostId(pub u64);

#[derive(Debug)]
pub struct Host {
    pub id: HostId,
    pub endpoint: Arc<Endpoint>,
    pub locality: Arc<Locality>,
    pub priority: u32,
    /// Shared with the host of the same address in the versions before and after.
    pub(super) state: Arc<HostState>,
}

/// Counters are advisory: relaxed ordering, no two of them need to agree.
#[derive(Debug, Default)]
pub(super) struct HostState {
    active: AtomicU32,
    pub(super) ejected: AtomicBool,
    /// Milliseconds of the last ejection.
    pub(super) ejected_at: AtomicU64,
    /// Ejections in a row: each makes the next one longer.
    pub(super) ejections: AtomicU32,
    pub(super) consecutive_5xx: AtomicU32,
    pub(super) consecutive_gateway: AtomicU32,
    pub(super) consecutive_local: AtomicU32,
    /// When the cluster first saw this address: where slow start begins.
    pub(super) since: Duration,
}

impl HostState {
    pub(super) fn new(now: Duration) -> Self {
        Self { since: now, ..Self::default() }
    }
}

impl Host {
    /// Requests in flight, from all workers.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.state.active.load(Ordering::Relaxed)
    }

    /// Out of rotation because of its failures.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.state.ejected.load(Ordering::Relaxed)
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.endpoint.health == Health::Healthy && !self.is_ejected()
    }

    pub(super) fn is_degraded(&self) -> bool {
        self.endpoint.health == Health::Degraded && !self.is_ejected()
    }

    /// Counts a request until the guard is dropped.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> ActiveRequest {
        self.state.active.fetch_add(1, Ordering::Relaxed);
        ActiveRequest(self.state.clone())
    }
}

/// A request in flight to a host.
#[derive(Debug)]
pub struct ActiveRequest(Arc<HostState>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The address as Envoy prints it, which is what its hash rings are keyed by: while both serve a cluster during a
/// rollout, they agree on where a client belongs.
pub(super) fn ring_key(address: &EndpointAddress) -> String {
    match address {
        EndpointAddress::Hbone { target, .. } => format!("envoy://connect_originate/{target}"),
        EndpointAddress::DoubleHbone { gateway, target } => {
            format!("envoy://inner_connect_originate/{gateway}/{target}")
        }
        EndpointAddress::Direct { address, .. } => address.to_string(),
        EndpointAddress::Host { name, port } => format!("{name}:{port}"),
    }
}

pub(super) fn host_id(address: &EndpointAddress) -> HostId {
    let mut key = ring_key(address);
    // The same pod through another tunnel end is another host.
    if let EndpointAddress::Hbone { tunnel, .. } = address {
        let _ = write!(key, "@{tunnel}");
    }
    HostId(xxh64(key.as_bytes(), 0))
}
