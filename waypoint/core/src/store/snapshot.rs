//! One consistent view of the configuration, immutable and shared by every worker.

use super::lookup::{self, ChainDecision, Sniffed};
use crate::balance::{Breakers, HostSet};
use crate::model::cluster::{Cluster, Discovery};
use crate::model::http_chain::HttpFilter;
use crate::model::jwt::{JwksSource, RemoteJwks};
use crate::model::listener::{
    ChainBody, ConnectFilter, ConnectTerminate, FilterChain, MainInternal, NetworkFilter,
};
use crate::model::rbac::PlacedRbac;
use crate::model::route::ClusterName;
use crate::model::secret::Secret;
use crate::model::workload::Workload;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Grows with every published change; equal versions are the same snapshot.
    pub version: u64,
    /// `None` until LDS has sent it: no tunnel can be accepted.
    pub connect_terminate: Option<Arc<ConnectTerminate>>,
    pub main_internal: Option<Arc<MainInternal>>,
    pub clusters: Arc<HashMap<ClusterName, Arc<ClusterEntry>>>,
    pub workloads: Arc<WorkloadIndex>,
    /// What SDS has delivered, by name.
    pub secrets: Arc<HashMap<Arc<str>, Arc<Secret>>>,
}

/// A cluster and where its requests can go.
#[derive(Debug)]
pub struct ClusterEntry {
    pub cluster: Arc<Cluster>,
    /// `None` while warming: endpoints were asked for (EDS, DNS) and have not come. Wait (bounded), do not refuse.
    /// Always `None` where the client says the endpoint (`OriginalDst`, `DirectPod`, `DynamicForwardProxy`).
    pub hosts: Option<Arc<HostSet>>,
    /// Counters live on across versions of the cluster.
    pub breakers: Arc<Breakers>,
}

/// Workloads by what a data path knows of them.
#[derive(Clone, Debug, Default)]
pub struct WorkloadIndex {
    by_ip: HashMap<IpAddr, Arc<Workload>>,
    by_uid: HashMap<Arc<str>, Arc<Workload>>,
}

impl ClusterEntry {
    #[must_use]
    pub fn is_warming(&self) -> bool {
        let addressed_by_client = matches!(
            self.cluster.discovery,
            Discovery::OriginalDst | Discovery::DirectPod | Discovery::DynamicForwardProxy(_)
        );
        self.hosts.is_none() && !addressed_by_client
    }
}

impl Snapshot {
    /// Which chain serves a tunnel to `target`; ask again with what sniffing found when it says `NeedProtocol`.
    #[must_use]
    pub fn chain(&self, target: &Target<'_>, sniffed: Sniffed) -> ChainDecision {
        self.main_internal
            .as_ref()
            .map_or(ChainDecision::None, |listener| lookup::chain(listener, target, sniffed))
    }

    /// A chain by name, to carry an open connection over to a newer snapshot.
    #[must_use]
    pub fn chain_named(&self, name: &str) -> Option<Arc<FilterChain>> {
        self.main_internal.as_ref()?.chains.get(name).cloned()
    }

    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Arc<ClusterEntry>> {
        self.clusters.get(name)
    }

    /// Keys to fetch for the tokens some chain wants.
    #[must_use]
    pub fn remote_jwks(&self) -> HashSet<Arc<RemoteJwks>> {
        let chains = self.main_internal.iter().flat_map(|listener| listener.chains.values());
        let filters = chains.flat_map(|chain| match &chain.body {
            ChainBody::Http(chain) => chain.filters.as_slice(),
            ChainBody::Tcp(_) | ChainBody::Refused(_) => &[],
        });
        let providers = filters.flat_map(|filter| match filter {
            HttpFilter::JwtAuthn(config) => config.providers.as_slice(),
            _ => &[],
        });
        let sources = providers.filter_map(|provider| match &provider.keys {
            JwksSource::Remote(source) => Some(source.clone()),
            JwksSource::Local(_) => None,
        });
        sources.collect()
    }

    /// Every RBAC filter, for its counters.
    pub fn rbac_filters(&self) -> impl Iterator<Item = PlacedRbac<'_>> {
        let connects = self.connect_terminate.iter().flat_map(|terminate| {
            terminate.filters.iter().filter_map(|filter| match filter {
                ConnectFilter::Rbac(filter) => {
                    Some(PlacedRbac { filter, connection_manager: Some(&terminate.stat_prefix) })
                }
                ConnectFilter::LocalRateLimit(_) => None,
            })
        });
        let chains = self.main_internal.iter().flat_map(|listener| listener.chains.values());
        connects.chain(chains.flat_map(|chain| rbac_filters(&chain.body)))
    }

    #[must_use]
    pub fn workload(&self, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.workloads.by_ip(ip)
    }
}

fn rbac_filters(body: &ChainBody) -> Vec<PlacedRbac<'_>> {
    match body {
        ChainBody::Http(chain) => {
            let filters = chain.filters.iter().filter_map(|filter| match filter {
                HttpFilter::Rbac(filter) => {
                    Some(PlacedRbac { filter, connection_manager: Some(&chain.stat_prefix) })
                }
                _ => None,
            });
            filters.collect()
        }
        ChainBody::Tcp(chain) => {
            let filters = chain.filters.iter().filter_map(|filter| match filter {
                NetworkFilter::Rbac(filter) => Some(PlacedRbac { filter, connection_manager: None }),
                NetworkFilter::ExtAuthz(_) => None,
            });
            filters.collect()
        }
        ChainBody::Refused(_) => Vec::new(),
    }
}

/// Where a CONNECT wants to go.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The authority when it is an address; host names match only by authority.
    pub address: Option<SocketAddr>,
    /// The authority as sent, `host:port`.
    pub authority: &'a str,
}

impl WorkloadIndex {
    /// Indexes workloads; where two share an address, one of `network` wins over one of another network.
    #[must_use]
    pub fn build<'a>(workloads: impl Iterator<Item = &'a Arc<Workload>>, network: &str) -> Self {
        let mut index = Self::default();
        for workload in workloads {
            index.by_uid.insert(workload.uid.clone(), workload.clone());
            if workload.host_network {
                continue; // its address is the node's: it would answer for every host-network pod there
            }
            for ip in &workload.addresses {
                let near = &*workload.network == network;
                match index.by_ip.get(ip) {
                    Some(known) if &*known.network == network || !near && known.uid < workload.uid => {}
                    _ => {
                        index.by_ip.insert(*ip, workload.clone());
                    }
                }
            }
        }
        index
    }

    #[must_use]
    pub fn by_ip(&self, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.by_ip.get(&ip.to_canonical())
    }

    /// Workloads that `newer` no longer has: what leads to them must not be used again.
    pub fn uids_missing_from<'a>(&'a self, newer: &'a Self) -> impl Iterator<Item = &'a Arc<str>> {
        self.by_uid.keys().filter(|uid| !newer.by_uid.contains_key(*uid))
    }

    #[must_use]
    pub fn by_uid(&self, uid: &str) -> Option<&Arc<Workload>> {
        self.by_uid.get(uid)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.by_uid.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_uid.is_empty()
    }
}
