//! What istiod said about the mesh, as one immutable snapshot.
//!
//! Invariants: a snapshot never changes once published; its maps are persistent, so the next one shares all that did not
//! change and readers never wait. Every index agrees with `workloads`, `services` and `policies` (only `insert_*` and
//! `remove*` below touch them).
//!
//! Differs from ztunnel: a service holds no copy of its endpoints. Who belongs to a service is kept in one map filled from
//! the workloads, whether or not the service (or its health policy) is known yet; so order of arrival cannot matter.

mod address;
mod index;
mod policy;
mod service;
mod store;
mod workload;

pub use address::{Destination, GatewayAddress, Invalid, NetworkAddress, NetworkCidr};
pub use policy::{Action, Match, Policy, Predicate, Scope as PolicyScope, ServiceAccount, StringMatch};
pub use service::{IpFamilies, LoadBalancer, LoadBalancerMode, Scope, Service};
pub use store::Store;
pub use workload::{ApplicationTunnel, Locality, Ports, ServiceKey, TunnelProtocol, Workload, WorkloadType};

use index::Index;
pub use index::Map;
use ipnet::IpNet;
use mesh::identity::SpiffeId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The workloads that say they belong to a service, by uid.
pub type Members = Map<Arc<str>, Arc<Workload>>;

#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Ours; the pods we serve are on it.
    node: Arc<str>,
    workloads: Map<Arc<str>, Arc<Workload>>,
    by_address: Index<NetworkAddress, Workload>,
    by_hostname: Index<Arc<str>, Workload>,
    /// `namespace/name` of the workloads on our node.
    local: Index<Arc<str>, Workload>,
    services: Map<ServiceKey, Arc<Service>>,
    members: Map<ServiceKey, Members>,
    by_vip: Index<NetworkAddress, Service>,
    by_cidr: Index<NetworkCidr, Service>,
    /// Lengths in use in `by_cidr` (IPv6 apart), with how often: a lookup tries one mask per length, not every range.
    cidr_lengths: BTreeMap<(bool, u8), usize>,
    by_host: Index<Arc<str>, Service>,
    policies: Map<Arc<str>, Arc<Policy>>,
    /// Policies that need no selector: by namespace, the global ones under the empty name.
    scoped: Map<Arc<str>, Map<Arc<str>, Arc<Policy>>>,
    /// Grows with each change of a policy.
    policies_version: u64,
}

impl Snapshot {
    #[must_use]
    pub fn new(node: &str) -> Self {
        Self { node: node.into(), ..Self::default() }
    }

    // ---- changes ----

    pub fn insert_workload(&mut self, workload: Workload) {
        self.remove_workload(&workload.uid);
        let workload = Arc::new(workload);
        for address in indexed_addresses(&workload) {
            self.by_address.add(address, workload.clone());
        }
        if !workload.hostname.is_empty() {
            self.by_hostname.add(workload.hostname.clone(), workload.clone());
        }
        if workload.node == self.node {
            self.local.add(pod_key(&workload.namespace, &workload.name), workload.clone());
        }
        for key in workload.services.keys() {
            let mut members = self.members.get(key).cloned().unwrap_or_default();
            members.insert_mut(workload.uid.clone(), workload.clone());
            self.members.insert_mut(key.clone(), members);
        }
        self.workloads.insert_mut(workload.uid.clone(), workload);
    }

    pub fn remove_workload(&mut self, uid: &str) -> Option<Arc<Workload>> {
        let workload = self.workloads.get(uid)?.clone();
        self.workloads.remove_mut(uid);
        for address in indexed_addresses(&workload) {
            self.by_address.remove(&address, &workload);
        }
        self.by_hostname.remove(&workload.hostname, &workload);
        self.local.remove(&pod_key(&workload.namespace, &workload.name), &workload);
        for key in workload.services.keys() {
            let Some(mut members) = self.members.get(key).cloned() else { continue };
            members.remove_mut(uid);
            if members.is_empty() {
                self.members.remove_mut(key);
            } else {
                self.members.insert_mut(key.clone(), members);
            }
        }
        Some(workload)
    }

    pub fn insert_service(&mut self, service: Service) {
        self.remove_service(&service.key);
        let service = Arc::new(service);
        for vip in &service.vips {
            self.by_vip.add(vip.clone(), service.clone());
        }
        for range in &service.cidr_vips {
            *self.cidr_lengths.entry(length_of(&range.cidr)).or_default() += 1;
            self.by_cidr.add(range.clone(), service.clone());
        }
        self.by_host.add(service.hostname.clone(), service.clone());
        self.services.insert_mut(service.key.clone(), service);
    }

    pub fn remove_service(&mut self, key: &str) -> Option<Arc<Service>> {
        let service = self.services.get(key)?.clone();
        self.services.remove_mut(key);
        for vip in &service.vips {
            self.by_vip.remove(vip, &service);
        }
        for range in &service.cidr_vips {
            let length = length_of(&range.cidr);
            match self.cidr_lengths.get_mut(&length) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.cidr_lengths.remove(&length)),
            }
            self.by_cidr.remove(range, &service);
        }
        self.by_host.remove(&service.hostname, &service);
        Some(service)
    }

    /// Removes what `name` of an Address resource stands for: a workload's uid, else a service's `namespace/hostname`.
    pub fn remove_address(&mut self, name: &str) -> Option<Arc<Workload>> {
        let workload = self.remove_workload(name);
        if workload.is_none() {
            self.remove_service(name);
        }
        workload
    }

    pub fn insert_policy(&mut self, policy: Policy) {
        self.remove_policy(&policy.key);
        self.policies_version += 1;
        let policy = Arc::new(policy);
        if let Some(scope) = scope_of(&policy) {
            let mut scoped = self.scoped.get(&scope).cloned().unwrap_or_default();
            scoped.insert_mut(policy.key.clone(), policy.clone());
            self.scoped.insert_mut(scope, scoped);
        }
        self.policies.insert_mut(policy.key.clone(), policy);
    }

    pub fn remove_policy(&mut self, key: &str) {
        let Some(policy) = self.policies.get(key).cloned() else { return };
        self.policies_version += 1;
        self.policies.remove_mut(key);
        let Some(scope) = scope_of(&policy) else { return };
        let Some(mut scoped) = self.scoped.get(&scope).cloned() else { return };
        scoped.remove_mut(key);
        if scoped.is_empty() {
            self.scoped.remove_mut(&scope);
        } else {
            self.scoped.insert_mut(scope, scoped);
        }
    }

    // ---- lookups ----

    #[must_use]
    pub fn workload(&self, uid: &str) -> Option<&Arc<Workload>> {
        self.workloads.get(uid)
    }

    #[must_use]
    pub fn workload_by_address(&self, address: &NetworkAddress) -> Option<&Arc<Workload>> {
        let found = self.by_address.find(address);
        // Several entries for one address (a pod and a WorkloadEntry naming it): the pod knows best who it is.
        found.iter().find(|workload| workload.uid.contains("//Pod/")).or_else(|| found.first())
    }

    #[must_use]
    pub fn workload_by_hostname(&self, hostname: &str) -> Option<&Arc<Workload>> {
        self.by_hostname.find(hostname).first()
    }

    /// The pod istio-cni names so, once istiod told us of it.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str, service_account: &str) -> Option<&Arc<Workload>> {
        self.local.find(&*pod_key(namespace, name)).iter().find(|workload| workload.is_pod(service_account))
    }

    /// Whether a workload on our node still needs a certificate of `identity`.
    #[must_use]
    pub fn is_local_identity(&self, identity: &SpiffeId) -> bool {
        self.local.values().any(|workload| workload.identity == *identity)
    }

    #[must_use]
    pub fn service(&self, key: &str) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// The service a client in `namespace` means by an address: exact before range, own namespace before others,
    /// Kubernetes Services before `ServiceEntries`, longer ranges before shorter.
    #[must_use]
    pub fn service_by_address(&self, address: &NetworkAddress, namespace: &str) -> Option<&Arc<Service>> {
        if let Some(service) = preferred(self.by_vip.find(address), namespace, None) {
            return Some(service);
        }
        let is_v6 = address.ip.is_ipv6();
        let lengths = self.cidr_lengths.keys().rev().filter(|(v6, _)| *v6 == is_v6);
        let ranges = lengths.filter_map(|(_, length)| self.range(address, *length)).collect::<Vec<_>>();
        let visible = |service: &&Arc<Service>| service.is_visible(namespace);
        let candidates = || ranges.iter().flat_map(|services| services.iter()).filter(visible);
        candidates()
            .find(|service| *service.namespace == *namespace)
            .or_else(|| ranges.iter().find_map(|services| preferred(services, namespace, None)))
    }

    fn range(&self, address: &NetworkAddress, length: u8) -> Option<&[Arc<Service>]> {
        let cidr = IpNet::new(address.ip, length).ok()?.trunc();
        let found = self.by_cidr.find(&NetworkCidr { network: address.network.clone(), cidr });
        (!found.is_empty()).then_some(found)
    }

    /// The service a client in `namespace` means by a host name; `fallback` is the namespace that wins a tie (DNS only).
    #[must_use]
    pub fn service_by_host(
        &self,
        host: &str,
        namespace: &str,
        fallback: Option<&str>,
    ) -> Option<&Arc<Service>> {
        preferred(self.by_host.find(host), namespace, fallback)
    }

    /// Who may take traffic of `service`.
    pub fn endpoints<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Arc<Workload>> {
        let members = self.members.get(&service.key);
        members.into_iter().flat_map(Map::values).filter(move |workload| service.admits(workload))
    }

    /// What applies to `workload`, as far as it has arrived.
    pub fn policies_of<'a>(&'a self, workload: &'a Workload) -> impl Iterator<Item = &'a Arc<Policy>> {
        let scoped = |scope: &str| self.scoped.get(scope).into_iter().flat_map(Map::values);
        let own_namespace =
            (!workload.namespace.is_empty()).then(|| scoped(&workload.namespace)).into_iter().flatten();
        let selected = workload.authorization_policies.iter().filter_map(|key| self.policies.get(key));
        own_namespace.chain(scoped("")).chain(selected)
    }

    /// A policy `workload` names that has not arrived (or was refused).
    #[must_use]
    pub fn missing_policy<'a>(&self, workload: &'a Workload) -> Option<&'a Arc<str>> {
        workload.authorization_policies.iter().find(|key| !self.policies.contains_key(*key))
    }

    #[must_use]
    pub fn policies_version(&self) -> u64 {
        self.policies_version
    }

    // ---- everything, for dumps ----

    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.values()
    }

    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.values()
    }

    /// Services that workloads name and nobody described yet, with those workloads.
    pub fn staged(&self) -> impl Iterator<Item = (&ServiceKey, &Members)> {
        self.members.iter().filter(|(key, _)| !self.services.contains_key(*key))
    }
}

fn pod_key(namespace: &str, name: &str) -> Arc<str> {
    format!("{namespace}/{name}").into()
}

/// Addresses that identify the workload.
fn indexed_addresses(workload: &Workload) -> impl Iterator<Item = NetworkAddress> {
    let own: &[IpAddr] = if workload.host_network { &[] } else { &workload.addresses };
    own.iter().map(|ip| NetworkAddress { network: workload.network.clone(), ip: *ip })
}

fn length_of(range: &IpNet) -> (bool, u8) {
    (matches!(range, IpNet::V6(_)), range.prefix_len())
}

fn scope_of(policy: &Policy) -> Option<Arc<str>> {
    match policy.scope {
        PolicyScope::Global => Some("".into()),
        PolicyScope::Namespace => Some(policy.namespace.clone()),
        PolicyScope::WorkloadSelector => None,
    }
}

/// Of several services with the same name or address, the one a client in `namespace` means.
fn preferred<'a>(
    found: &'a [Arc<Service>],
    namespace: &str,
    fallback: Option<&str>,
) -> Option<&'a Arc<Service>> {
    let visible = || found.iter().filter(|service| service.is_visible(namespace));
    visible()
        .find(|service| *service.namespace == *namespace)
        .or_else(|| visible().find(|service| service.canonical))
        .or_else(|| {
            visible().find(|service| fallback.is_some_and(|fallback| *service.namespace == *fallback))
        })
        .or_else(|| visible().next())
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
