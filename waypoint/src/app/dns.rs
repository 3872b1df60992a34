//! Resolving the names of DNS clusters: one task per cluster, each with its own clock. Envoy: `StrictDnsClusterImpl`.
//!
//! Invariant: a name that stops resolving keeps the addresses it had; only a cluster that never had any is published empty,
//! so that its requests fail at once instead of waiting for it.

use super::xds::Configuration;
use crate::limits;
use crate::proxy::resolver::Resolver;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use waypoint_core::model::dns::DnsSettings;
use waypoint_core::model::endpoint::{Assignment, Endpoint, EndpointAddress};
use waypoint_core::store::WantedDns;

/// Keeps one task for each DNS cluster there is, for as long as the process lives.
pub(super) async fn resolve(configuration: Configuration, resolver: Resolver) {
    let mut changed = configuration.changes();
    let mut tasks: HashMap<Arc<str>, (WantedDns, JoinHandle<()>)> = HashMap::new();
    loop {
        let wanted: HashMap<_, _> =
            configuration.wanted_dns().into_iter().map(|one| (one.cluster.clone(), one)).collect();
        tasks.retain(|name, (task_of, task)| {
            let same = wanted.get(name) == Some(task_of);
            if !same {
                task.abort();
            }
            same
        });
        for (name, wanted) in wanted {
            tasks.entry(name).or_insert_with(|| {
                let task = follow(wanted.clone(), configuration.clone(), resolver.clone());
                (wanted, tokio::spawn(task))
            });
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

async fn follow(wanted: WantedDns, configuration: Configuration, resolver: Resolver) {
    let mut known = Known::default();
    loop {
        let wait = known.renew(&wanted, &resolver).await;
        configuration.resolved(&wanted.cluster, known.assignment(&wanted));
        // A little later each time, so that clusters that came together do not ask together for ever.
        tokio::time::sleep(wait + Duration::from_millis(fastrand::u64(0..100))).await;
    }
}

/// The last good addresses of each name.
#[derive(Default)]
struct Known(HashMap<Box<str>, Vec<IpAddr>>);

impl Known {
    /// Asks for every name once; tells when to ask again.
    async fn renew(&mut self, wanted: &WantedDns, resolver: &Resolver) -> Duration {
        let settings = &wanted.discovery.settings;
        let mut next = None;
        for endpoint in wanted.discovery.assignment.groups.iter().flat_map(|group| &group.endpoints) {
            let EndpointAddress::Host { name, .. } = &endpoint.address else { continue };
            let wait = match resolver.look_up(name, settings.family).await {
                Ok(answer) => {
                    let life = answer.valid_until.saturating_duration_since(Instant::now());
                    self.0.insert(name.to_string().into(), answer.addresses);
                    after(settings, life)
                }
                Err(reason) => {
                    tracing::warn!(
                        cluster = &*wanted.cluster,
                        name = &**name,
                        reason,
                        "name does not resolve"
                    );
                    settings.failure_refresh
                }
            };
            next = Some(next.map_or(wait, |next: Duration| next.min(wait)));
        }
        next.unwrap_or(limits::DNS_REFRESH_MAX).clamp(limits::DNS_REFRESH_MIN, limits::DNS_REFRESH_MAX)
    }

    /// Every name replaced by its addresses.
    fn assignment(&self, wanted: &WantedDns) -> Assignment {
        let mut resolved = Assignment::clone(&wanted.discovery.assignment);
        for group in &mut resolved.groups {
            group.endpoints = group
                .endpoints
                .iter()
                .flat_map(|endpoint| self.endpoints(endpoint, wanted.logical))
                .collect();
        }
        resolved
    }

    fn endpoints(&self, endpoint: &Arc<Endpoint>, logical: bool) -> Vec<Arc<Endpoint>> {
        let EndpointAddress::Host { name, port } = &endpoint.address else { return vec![endpoint.clone()] };
        let found = self.0.get(&**name).map_or(&[][..], Vec::as_slice);
        let mut addresses: Vec<SocketAddr> = found.iter().map(|ip| SocketAddr::new(*ip, *port)).collect();
        let at = |address, additional| {
            let address = EndpointAddress::Direct { address, additional };
            Arc::new(Endpoint { address, hostname: Some(name.clone()), ..Endpoint::clone(endpoint) })
        };
        if logical {
            // One endpoint, whatever its addresses; a connection takes the first that answers.
            return match addresses.is_empty() {
                true => Vec::new(),
                false => vec![at(addresses.remove(0), addresses)],
            };
        }
        // The same order each time: an answer that is only shuffled changes nothing.
        addresses.sort_unstable();
        addresses.into_iter().map(|address| at(address, Vec::new())).collect()
    }
}

/// When to ask again after an answer. Envoy: its time to live when told to respect it, else the refresh rate.
fn after(settings: &DnsSettings, life: Duration) -> Duration {
    if settings.respect_ttl && !life.is_zero() { life } else { settings.refresh }
}

#[cfg(test)]
mod tests;
