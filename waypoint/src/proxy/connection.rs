//! One inner connection: whose it is, where it wanted to go, and which chain serves it now.
//!
//! Invariant: a request runs on the chain of the newest snapshot. Differs from Envoy, which finishes old connections on
//! the chain they began with, policy included: here a policy change holds from the next request on, and no connection
//! has to be closed for it.

use super::worker::Worker;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use waypoint_core::matching::view::NetworkView;
use waypoint_core::model::listener::FilterChain;
use waypoint_core::model::metadata::DynamicMetadata;
use waypoint_core::model::workload::Workload;
use waypoint_core::policy::rate_limit::OwnBuckets;
use waypoint_core::store::{ChainDecision, Snapshot, Sniffed, Target};

/// What the tunnel says of its client.
#[derive(Debug)]
pub struct Tunnel {
    pub start: SystemTime,
    /// The client pod; its ztunnel dials from the pod's address.
    pub source: SocketAddr,
    /// URI SAN of the client's certificate.
    pub principal: Option<Arc<str>>,
    /// The CONNECT target when it is an address.
    pub target: Option<SocketAddr>,
    pub authority: Box<str>,
    /// The name a TLS client inside asks for, where an inspector runs.
    pub sni: Option<Box<str>>,
}

pub struct Connection {
    pub worker: Arc<Worker>,
    pub tunnel: Tunnel,
    sniffed: Sniffed,
    current: Mutex<(u64, Option<Arc<FilterChain>>)>,
    /// Of limits that are for each connection by itself.
    own_buckets: Mutex<OwnBuckets>,
}

impl Tunnel {
    #[must_use]
    pub fn as_target(&self) -> Target<'_> {
        Target { address: self.target, authority: &self.authority }
    }

    /// The target's address; a target by name has only its port.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        self.target.unwrap_or_else(|| {
            let port = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
            SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port.unwrap_or(0))
        })
    }

    #[must_use]
    pub fn view<'a>(&'a self, metadata: &'a DynamicMetadata) -> NetworkView<'a> {
        NetworkView {
            peer: self.principal.as_deref(),
            source_ip: self.source.ip(),
            destination: self.destination(),
            sni: self.sni.as_deref(),
            metadata,
        }
    }

    /// Who the client is, as far as WDS knows.
    #[must_use]
    pub fn workload<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s Arc<Workload>> {
        snapshot.workload(self.source.ip())
    }
}

impl Connection {
    #[must_use]
    pub fn new(worker: Arc<Worker>, tunnel: Tunnel, sniffed: Sniffed) -> Self {
        let (current, own_buckets) = (Mutex::new((u64::MAX, None)), Mutex::default());
        Self { worker, tunnel, sniffed, current, own_buckets }
    }

    /// Never contended: only this connection's worker uses it.
    pub fn own_buckets(&self) -> MutexGuard<'_, OwnBuckets> {
        self.own_buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The snapshot of now, and the chain in it; `None` when nothing serves the target any more.
    #[must_use]
    pub fn chain(&self) -> (Arc<Snapshot>, Option<Arc<FilterChain>>) {
        let snapshot = self.worker.snapshot();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != snapshot.version {
            let chain = match snapshot.chain(&self.tunnel.as_target(), self.sniffed) {
                ChainDecision::Chain(chain) => Some(chain),
                // The port was declared before and is not any more: what it was then still holds for this connection.
                ChainDecision::NeedProtocol { .. } => self.carried_over(&snapshot, current.1.as_ref()),
                ChainDecision::None => None,
            };
            *current = (snapshot.version, chain);
        }
        let chain = current.1.clone();
        drop(current);
        (snapshot, chain)
    }

    fn carried_over(
        &self,
        snapshot: &Snapshot,
        before: Option<&Arc<FilterChain>>,
    ) -> Option<Arc<FilterChain>> {
        before.and_then(|chain| snapshot.chain_named(&chain.name))
    }
}
