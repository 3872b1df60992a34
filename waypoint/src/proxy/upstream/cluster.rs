//! From a cluster's name to the endpoint of one attempt.

use super::destination::Destination;
use crate::limits;
use crate::proxy::worker::Worker;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};
use waypoint_core::balance::{Avoid, Host};
use waypoint_core::dice::Dice;
use waypoint_core::failure::Failure;
use waypoint_core::model::cluster::Discovery;
use waypoint_core::model::endpoint::EndpointAddress;
use waypoint_core::store::{ClusterEntry, Snapshot};

/// The endpoint of one attempt; `host` is what the balancer learns about, where there is a balancer.
#[derive(Clone, Debug)]
pub struct Choice {
    pub destination: Destination,
    pub host: Option<Arc<Host>>,
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

const fn finds_by_target(discovery: &Discovery) -> bool {
    matches!(discovery, Discovery::OriginalDst | Discovery::DirectPod)
}

/// # Errors
/// When the cluster is refused or no endpoint is available.
pub fn choose(
    (entry, snapshot): (&ClusterEntry, &Snapshot),
    target: Option<SocketAddr>,
    hash: Option<u64>,
    avoid: Avoid<'_>,
    dice: &mut Dice,
) -> Result<Choice, Failure> {
    if let Some(refusal) = &entry.cluster.refusal {
        return Err(Failure::refused(&refusal.details));
    }
    if finds_by_target(&entry.cluster.discovery) {
        let target = target.ok_or_else(Failure::no_healthy_upstream)?;
        let address = by_target(&entry.cluster.discovery, target, snapshot);
        return Ok(Choice { destination: Destination::new(address, snapshot), host: None });
    }
    let hosts = entry.hosts.as_ref().ok_or_else(Failure::no_healthy_upstream)?;
    let host = hosts.pick(hash, avoid, dice).ok_or_else(Failure::no_healthy_upstream)?;
    let destination = Destination::new(host.endpoint.address.clone(), snapshot);
    Ok(Choice { destination, host: Some(host) })
}

/// Requests addressed to a pod: over HBONE when the pod speaks it.
fn by_target(discovery: &Discovery, target: SocketAddr, snapshot: &Snapshot) -> EndpointAddress {
    let speaks_hbone = snapshot.workload(target.ip()).is_some_and(|workload| workload.hbone);
    if matches!(discovery, Discovery::DirectPod) && speaks_hbone {
        let tunnel = SocketAddr::new(target.ip(), crate::config::Ports::default().hbone);
        EndpointAddress::Hbone { target, tunnel }
    } else {
        EndpointAddress::Direct { address: target, additional: Vec::new() }
    }
}
