//! Clusters joined with their endpoints.
//!
//! A cluster without endpoints is warming, not broken: istiod may send a listener that uses it before the endpoints. A
//! replaced cluster keeps its endpoints, and with them its learnt state, until new ones come.

use super::Applied;
use super::snapshot::ClusterEntry;
use crate::balance::{Breakers, HostSet, HostSettings};
use crate::model::cluster::{Cluster, Discovery, Transport};
use crate::model::dns::DnsDiscovery;
use crate::model::endpoint::{Assignment, Endpoint, EndpointAddress};
use crate::model::route::ClusterName;
use crate::model::tls::{Credential, Roots};
use crate::translate::update::{Resource, Update};
use crate::translate::{cluster, endpoint};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh64::xxh64;

#[derive(Debug, Default)]
pub(super) struct Clusters {
    entries: HashMap<ClusterName, Arc<ClusterEntry>>,
    /// By EDS name, or by cluster name for DNS.
    assignments: HashMap<Arc<str>, Known>,
}

#[derive(Debug)]
struct Known {
    content_hash: u64,
    assignment: Arc<Assignment>,
}

impl Clusters {
    pub(super) fn entries(&self) -> HashMap<ClusterName, Arc<ClusterEntry>> {
        self.entries.clone()
    }

    pub(super) fn apply_clusters(&mut self, update: &Update<'_>, now: Duration, applied: &mut Applied) {
        for Resource { name, bytes } in &update.resources {
            let known = self.entries.get(*name);
            if known.is_some_and(|entry| entry.cluster.content_hash == xxh64(bytes, 0)) {
                continue;
            }
            let Some(Some(cluster)) = applied.take(name, cluster::translate(name, bytes)) else { continue };
            let entry = self.join(Arc::new(cluster), now);
            self.entries.insert(entry.cluster.name.clone(), Arc::new(entry));
            applied.changed = true;
        }
        for name in update.removed {
            applied.changed |= self.entries.remove(name.as_str()).is_some();
        }
        let wanted: BTreeSet<&str> =
            self.entries.values().filter_map(|entry| assignment_name(&entry.cluster)).collect();
        self.assignments.retain(|name, _| wanted.contains(&**name));
    }

    pub(super) fn apply_endpoints(&mut self, update: &Update<'_>, now: Duration, applied: &mut Applied) {
        for Resource { name, bytes } in &update.resources {
            let content_hash = xxh64(bytes, 0);
            if self.assignments.get(*name).is_some_and(|known| known.content_hash == content_hash) {
                continue;
            }
            if let Some(assignment) = applied.take(name, endpoint::translate(name, bytes)) {
                applied.changed |=
                    self.assign(name, Known { content_hash, assignment: Arc::new(assignment) }, now);
            }
        }
        // A removed assignment says nothing: the cluster goes by CDS, and until then its endpoints are the best we know.
    }

    pub(super) fn resolved(&mut self, name: &str, assignment: Assignment, now: Duration) -> bool {
        let by_dns = |entry: &Arc<ClusterEntry>| {
            matches!(entry.cluster.discovery, Discovery::StrictDns(_) | Discovery::LogicalDns(_))
        };
        let same = self.assignments.get(name).is_some_and(|known| *known.assignment == assignment);
        if same || !self.entries.get(name).is_some_and(by_dns) {
            return false;
        }
        self.assign(name, Known { content_hash: 0, assignment: Arc::new(assignment) }, now)
    }

    /// Gives new endpoints to the clusters that use them; false when none does.
    fn assign(&mut self, name: &str, known: Known, now: Duration) -> bool {
        let users = self.entries.values().filter(|entry| assignment_name(&entry.cluster) == Some(name));
        let users: Vec<Arc<Cluster>> = users.map(|entry| entry.cluster.clone()).collect();
        if users.is_empty() {
            return false; // istiod names a deleted service's cluster once more, empty
        }
        self.assignments.insert(name.into(), known);
        for cluster in users {
            let entry = self.join(cluster, now);
            self.entries.insert(entry.cluster.name.clone(), Arc::new(entry));
        }
        true
    }

    fn join(&self, cluster: Arc<Cluster>, now: Duration) -> ClusterEntry {
        let previous = self.entries.get(&cluster.name);
        let breakers = previous.map_or_else(
            || Breakers::new(cluster.breakers),
            |previous| previous.breakers.with_limits(cluster.breakers),
        );
        let known = assignment_name(&cluster).and_then(|name| self.assignments.get(name));
        let assignment = match &cluster.discovery {
            Discovery::Static(assignment) => Some(assignment),
            Discovery::Eds { .. } | Discovery::StrictDns(_) | Discovery::LogicalDns(_) => {
                known.map(|known| &known.assignment)
            }
            Discovery::OriginalDst | Discovery::DirectPod | Discovery::DynamicForwardProxy(_) => {
                return ClusterEntry { cluster, hosts: None, breakers: Arc::new(breakers) };
            }
        };
        let old = previous.and_then(|previous| previous.hosts.as_ref());
        let settings =
            HostSettings { balancing: cluster.balancing.clone(), outlier: cluster.outlier.clone() };
        let reachable = assignment.map(|assignment| reachable(&cluster, assignment));
        let hosts = reachable
            .map(|assignment| Arc::new(HostSet::new(&settings, &assignment, old.map(|old| &**old), now)));
        let hosts = hosts.or_else(|| old.cloned());
        ClusterEntry { cluster, hosts, breakers: Arc::new(breakers) }
    }

    pub(super) fn wanted_eds(&self) -> BTreeSet<String> {
        let names = self.entries.values().filter_map(|entry| match &entry.cluster.discovery {
            Discovery::Eds { service_name } => Some(service_name.to_string()),
            _ => None,
        });
        names.collect()
    }

    pub(super) fn wanted_sds(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for entry in self.entries.values() {
            let Transport::Tls(tls) = &entry.cluster.transport else { continue };
            let roots = match &tls.roots {
                Roots::Named(credential) => Some(credential),
                Roots::Unchecked | Roots::System => None,
            };
            names.extend(roots.into_iter().chain(&tls.client_certificate).filter_map(|credential| {
                match credential {
                    Credential::Sds(name) => Some(name.to_string()),
                    Credential::RootFile(_) | Credential::CertificateFiles { .. } => None,
                }
            }));
        }
        names
    }

    pub(super) fn wanted_dns(&self) -> Vec<WantedDns> {
        let clusters = self.entries.values().filter_map(|entry| {
            let (discovery, logical) = match &entry.cluster.discovery {
                Discovery::StrictDns(discovery) => (discovery, false),
                Discovery::LogicalDns(discovery) => (discovery, true),
                _ => return None,
            };
            Some(WantedDns { cluster: entry.cluster.name.clone(), discovery: discovery.clone(), logical })
        });
        clusters.collect()
    }
}

/// A cluster whose endpoints are names.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedDns {
    pub cluster: ClusterName,
    pub discovery: Arc<DnsDiscovery>,
    /// All addresses of a name are one endpoint.
    pub logical: bool,
}

/// Leaves out sidecars that speak legacy mutual TLS only: in plain text they would refuse us, or worse, accept.
fn reachable<'a>(cluster: &Cluster, assignment: &'a Assignment) -> Cow<'a, Assignment> {
    let legacy = |endpoint: &Endpoint| {
        matches!(endpoint.address, EndpointAddress::Direct { .. })
            && endpoint.transport_match.iter().any(|(key, value)| (&**key, &**value) == ("tlsMode", "istio"))
    };
    let any = assignment.groups.iter().flat_map(|group| &group.endpoints).any(|endpoint| legacy(endpoint));
    if !cluster.legacy_mutual_tls || !any {
        return Cow::Borrowed(assignment);
    }
    tracing::warn!(cluster = &*cluster.name, "endpoints that need the mutual TLS of sidecars are left out");
    let mut reachable = assignment.clone();
    for group in &mut reachable.groups {
        group.endpoints.retain(|endpoint| !legacy(endpoint));
    }
    Cow::Owned(reachable)
}

/// The name the cluster's endpoints are kept under.
fn assignment_name(cluster: &Cluster) -> Option<&str> {
    match &cluster.discovery {
        Discovery::Eds { service_name } => Some(service_name),
        Discovery::StrictDns(_) | Discovery::LogicalDns(_) => Some(&cluster.name),
        Discovery::Static(_)
        | Discovery::OriginalDst
        | Discovery::DirectPod
        | Discovery::DynamicForwardProxy(_) => None,
    }
}
