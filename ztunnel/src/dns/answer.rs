//! What the mesh itself knows of a name. Pure but for the order of addresses, which the caller shuffles.

use crate::dns::names::{Candidate, Zone, candidates, wildcards};
use crate::state::{Service, Snapshot, Workload};
use std::net::IpAddr;
use std::sync::Arc;

/// The two record types answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    A,
    Aaaa,
}

impl Kind {
    fn accepts(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == (self == Self::A)
    }
}

/// An answer from the snapshot; none of `addresses` means that the name exists without such records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Told as CNAME of the name asked for; the addresses belong to it.
    pub canonical: Option<String>,
    pub addresses: Vec<IpAddr>,
    pub service: Arc<Service>,
}

/// The answer to a query of `client`, or nothing where others have to be asked.
#[must_use]
pub fn answer(
    snapshot: &Snapshot,
    client: &Workload,
    query: &str,
    kind: Kind,
    zone: &Zone,
) -> Option<Answer> {
    let (service, candidate) = find(snapshot, client, query, zone)?;
    Some(Answer {
        canonical: candidate.stripped,
        addresses: addresses(snapshot, client, service, kind),
        service: service.clone(),
    })
}

fn find<'a>(
    snapshot: &'a Snapshot,
    client: &Workload,
    query: &str,
    zone: &Zone,
) -> Option<(&'a Arc<Service>, Candidate)> {
    let lookup = |name: &str| {
        let service =
            snapshot.service_by_host(name, &client.namespace, zone.preferred_namespace.as_deref())?;
        is_answerable(service, zone).then_some(service)
    };
    candidates(query, &client.namespace, zone).into_iter().find_map(|candidate| {
        let exact = lookup(&candidate.name);
        let service = exact.or_else(|| wildcards(&candidate.name).find_map(|name| lookup(&name)))?;
        Some((service, candidate))
    })
}

/// A service without addresses of its own is answered by its endpoints only where Kubernetes would do so; the name of an
/// external service is its own DNS server's business.
fn is_answerable(service: &Service, zone: &Zone) -> bool {
    let in_cluster = service.hostname.strip_suffix(&*zone.services).is_some_and(|rest| rest.ends_with('.'));
    !service.vips.is_empty() || in_cluster
}

fn addresses(snapshot: &Snapshot, client: &Workload, service: &Service, kind: Kind) -> Vec<IpAddr> {
    let usable = |ip: &IpAddr| kind.accepts(*ip) && service.ip_families.accepts(*ip);
    if !service.vips.is_empty() {
        let near = service.vips.iter().filter(|vip| vip.network == client.network);
        return near.map(|vip| vip.ip).filter(usable).collect();
    }
    let near = snapshot.endpoints(service).filter(|workload| workload.network == client.network);
    near.filter_map(|workload| workload.addresses.iter().copied().find(usable)).collect()
}

#[cfg(test)]
mod tests;
