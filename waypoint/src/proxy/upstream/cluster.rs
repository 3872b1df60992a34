//! From a cluster's name to the endpoint of one attempt.

use super::destination::Destination;
use super::proxy_header::ProxyHeader;
use crate::limits;
use crate::proxy::connection::Tunnel;
use crate::proxy::worker::Worker;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use waypoint_core::balance::{Avoid, Host};
use waypoint_core::dice::Dice;
use waypoint_core::failure::Failure;
use waypoint_core::model::cluster::{Discovery, Transport};
use waypoint_core::model::endpoint::EndpointAddress;
use waypoint_core::store::{ClusterEntry, Snapshot};

/// The endpoint of one attempt; `host` is what the balancer learns about, where there is a balancer.
#[derive(Clone, Debug)]
pub struct Choice {
    pub destination: Destination,
    pub host: Option<Arc<Host>>,
}

/// What of the client's side decides where its request goes, and how its connection begins.
#[derive(Clone, Debug)]
pub struct Aim {
    /// Where the tunnel wanted to go, when that is an address.
    pub target: Option<SocketAddr>,
    /// The client, and where it wanted to go; `None` for calls of our own.
    client: Option<(SocketAddr, SocketAddr)>,
    /// The host asked for (`Host`, or SNI): TLS may ask for it too, and a dynamic forward proxy goes there.
    host: Option<Arc<str>>,
    /// Where a dynamic forward proxy goes.
    resolved: Option<EndpointAddress>,
}

impl Aim {
    /// `host` may have a port.
    #[must_use]
    pub fn new(tunnel: &Tunnel, host: Option<&str>) -> Self {
        Self {
            target: tunnel.target,
            client: Some((tunnel.source, tunnel.destination())),
            host: host.map(Arc::from),
            resolved: None,
        }
    }

    /// For a call of our own, to the host it names.
    #[must_use]
    pub fn own(host: Option<&str>) -> Self {
        Self { target: None, client: None, host: host.map(Arc::from), resolved: None }
    }

    /// Finds the address where the cluster leaves it to the client to name its host.
    ///
    /// # Errors
    /// When the name does not resolve.
    pub async fn resolve(
        mut self,
        worker: &Worker,
        entry: &ClusterEntry,
        port: Option<u16>,
    ) -> Result<Self, Failure> {
        if let Discovery::DynamicForwardProxy(settings) = &entry.cluster.discovery {
            let host = self.host.as_deref().ok_or_else(Failure::dns_resolution_failed)?;
            let tls = matches!(entry.cluster.transport, Transport::Tls(_));
            let port = port.unwrap_or(if tls { 443 } else { 80 });
            self.resolved = Some(worker.process.names.resolve(host, port, settings).await?);
        }
        Ok(self)
    }

    fn proxy_header(&self, entry: &ClusterEntry) -> Option<ProxyHeader> {
        let version = entry.cluster.proxy_protocol?;
        Some(ProxyHeader { version, client: self.client })
    }
}

/// The cluster, with its first endpoints known. `None`: there is no such cluster.
///
/// A cluster that was just announced has no endpoints yet; waiting for them (bounded) is better than a refusal that
/// nothing but the order of two messages explains.
pub async fn ready(
    worker: &Worker,
    snapshot: &Arc<Snapshot>,
    name: &str,
) -> Option<(Arc<Snapshot>, Arc<ClusterEntry>)> {
    let entry = snapshot.cluster(name)?.clone();
    if !entry.is_warming() {
        return Some((snapshot.clone(), entry));
    }
    let mut published = worker.process.published.clone();
    let deadline = Instant::now() + limits::WARMING_TIMEOUT;
    loop {
        let newer = worker.snapshot();
        match newer.cluster(name).cloned() {
            Some(entry) if !entry.is_warming() => return Some((newer, entry)),
            Some(entry) => {
                if !matches!(timeout_at(deadline, published.changed()).await, Ok(Ok(()))) {
                    return Some((newer, entry));
                }
            }
            None => return None,
        }
    }
}

/// # Errors
/// When the cluster is refused or no endpoint is available.
pub fn choose(
    (entry, snapshot): (&ClusterEntry, &Snapshot),
    aim: &Aim,
    hash: Option<u64>,
    avoid: Avoid<'_>,
    dice: &mut Dice,
) -> Result<Choice, Failure> {
    if let Some(refusal) = &entry.cluster.refusal {
        return Err(Failure::refused(&refusal.details));
    }
    let (address, host) = match by_client(&entry.cluster.discovery, aim, snapshot) {
        Some(address) => (address.ok_or_else(Failure::no_healthy_upstream)?, None),
        None => {
            let hosts = entry.hosts.as_ref().ok_or_else(Failure::no_healthy_upstream)?;
            let host = hosts.pick(hash, avoid, dice).ok_or_else(Failure::no_healthy_upstream)?;
            (host.endpoint.address.clone(), Some(host))
        }
    };
    let mut destination = Destination::new(address, snapshot);
    destination.proxy_header = aim.proxy_header(entry);
    if let Transport::Tls(_) = &entry.cluster.transport {
        destination.host = aim.host.as_deref().map(without_port).map(Arc::from);
    }
    Ok(Choice { destination, host })
}

/// The address where the client decides: `None` when a balancer does, `Some(None)` when the client said nothing of use.
fn by_client(discovery: &Discovery, aim: &Aim, snapshot: &Snapshot) -> Option<Option<EndpointAddress>> {
    match discovery {
        Discovery::OriginalDst => Some(aim.target.map(direct)),
        Discovery::DirectPod => Some(aim.target.map(|target| pod(target, snapshot))),
        Discovery::DynamicForwardProxy(_) => Some(aim.resolved.clone()),
        Discovery::Eds { .. } | Discovery::Static(_) | Discovery::StrictDns(_) | Discovery::LogicalDns(_) => {
            None
        }
    }
}

fn direct(address: SocketAddr) -> EndpointAddress {
    EndpointAddress::Direct { address, additional: Vec::new() }
}

/// Requests addressed to a pod: over HBONE when the pod speaks it.
fn pod(target: SocketAddr, snapshot: &Snapshot) -> EndpointAddress {
    if snapshot.workload(target.ip()).is_some_and(|workload| workload.hbone) {
        let tunnel = SocketAddr::new(target.ip(), crate::config::Ports::default().hbone);
        EndpointAddress::Hbone { target, tunnel }
    } else {
        direct(target)
    }
}

/// Names in certificates have no port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            name.trim_matches(['[', ']'])
        }
        _ => host.trim_matches(['[', ']']),
    }
}
