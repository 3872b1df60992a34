//! Layer 4: joins what istiod sends into one [`Snapshot`], and swaps it.
//!
//! Owned by the one task that reads xDS; workers only ever see finished snapshots. What has not changed keeps its `Arc`,
//! and what is learnt at run time (load, ejections, breakers) is carried over by cluster name.
//! Failure rule: of a response with bad resources the good ones are applied, the bad keep their last good version.

mod clusters;
pub mod lookup;
mod shared;
pub mod snapshot;

pub use clusters::WantedDns;
pub use lookup::{ChainDecision, Sniffed};
pub use shared::SharedSnapshot;
pub use snapshot::{ClusterEntry, Snapshot, Target, WorkloadIndex};

use crate::limits::RESOURCES_MAX;
use crate::model::endpoint::Assignment;
use crate::model::listener::{ConnectTerminate, MainInternal};
use crate::model::secret::Secret;
use crate::model::workload::Workload;
use crate::translate::ecds::{self, Extensions};
use crate::translate::listener::{self, Listener, Previous};
use crate::translate::update::{Resource, Update};
use crate::translate::{Rejection, Warning, secret, workload};
use clusters::Clusters;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use xds_client::type_url;

/// Everything known, and the snapshot made of it.
#[derive(Debug, Default)]
pub struct Store {
    /// Our own network: where two workloads share an address, the one of this network is meant.
    network: String,
    clusters: Clusters,
    listeners: Listeners,
    workloads: HashMap<Arc<str>, Arc<Workload>>,
    secrets: HashMap<Arc<str>, Arc<Secret>>,
    snapshot: Arc<Snapshot>,
    accepted: Accepted,
}

#[derive(Debug, Default)]
struct Listeners {
    connect_terminate: Option<Held<ConnectTerminate>>,
    main_internal: Option<Held<MainInternal>>,
    extensions: Extensions,
}

/// A listener, and the bytes it was made of: to see whether it changed, and to make it anew when extensions do.
#[derive(Debug)]
struct Held<T> {
    value: Arc<T>,
    bytes: Vec<u8>,
}

/// Which types have been accepted once.
#[derive(Clone, Copy, Debug, Default)]
struct Accepted {
    clusters: bool,
    listeners: bool,
}

/// What became of one response.
#[derive(Debug, Default)]
pub struct Applied {
    pub rejections: Vec<Rejection>,
    /// By resource name.
    pub warnings: Vec<(String, Warning)>,
    /// Whether there is a new snapshot to publish.
    pub changed: bool,
}

impl Applied {
    fn warn(&mut self, name: &str, warnings: Vec<Warning>) {
        self.warnings.extend(warnings.into_iter().map(|warning| (name.to_owned(), warning)));
    }

    /// The value, with its warnings taken note of; or `None`, with the rejection.
    fn take<T>(
        &mut self,
        name: &str,
        result: Result<crate::translate::Translated<T>, Rejection>,
    ) -> Option<T> {
        match result {
            Ok(translated) => {
                self.warn(name, translated.warnings);
                Some(translated.value)
            }
            Err(rejection) => {
                self.rejections.push(rejection);
                None
            }
        }
    }
}

impl Store {
    #[must_use]
    pub fn new(network: &str) -> Self {
        Self { network: network.to_owned(), ..Self::default() }
    }

    /// The configuration as of the last response.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
    }

    /// Clusters and listeners have been accepted once: traffic can be served. Envoy: `cds.update_success` and
    /// `lds.update_success`, as pilot-agent's readiness probe reads them.
    /// Differs from Envoy: a cluster that is refused beside good ones keeps nobody unready, because every new pod of the
    /// waypoint would wait for one user's mistake. Each of the few listeners is needed.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.accepted.clusters && self.accepted.listeners
    }

    /// `now` is monotonic, as everywhere in `balance`.
    pub fn apply(&mut self, update: &Update<'_>, now: Duration) -> Applied {
        let mut applied = Applied::default();
        match update.type_url {
            type_url::CLUSTER => {
                self.clusters.apply_clusters(update, now, &mut applied);
                let rejected = applied.rejections.len();
                self.accepted.clusters |= rejected == 0 || rejected < update.resources.len();
            }
            type_url::ENDPOINT => self.clusters.apply_endpoints(update, now, &mut applied),
            type_url::LISTENER => {
                self.listeners.apply(update, &mut applied);
                self.accepted.listeners |= applied.rejections.is_empty();
            }
            type_url::EXTENSION_CONFIG => self.listeners.apply_extensions(update, &mut applied),
            type_url::WORKLOAD => self.apply_workloads(update, &mut applied),
            type_url::SECRET => self.apply_secrets(update, &mut applied),
            // Nothing else is subscribed to.
            _ => {}
        }
        if applied.changed {
            self.rebuild(update.type_url);
        }
        applied
    }

    /// Addresses of a DNS cluster's names, resolved by the IO; `assignment` has the names replaced by addresses.
    pub fn resolved(&mut self, cluster: &str, assignment: Assignment, now: Duration) -> bool {
        let changed = self.clusters.resolved(cluster, assignment, now);
        if changed {
            self.rebuild(type_url::ENDPOINT);
        }
        changed
    }

    /// Only the part the type belongs to is made anew; the others keep their `Arc`s.
    fn rebuild(&mut self, changed: &str) {
        let old = &self.snapshot;
        let mut snapshot = Snapshot { version: old.version + 1, ..Snapshot::clone(old) };
        match changed {
            type_url::CLUSTER | type_url::ENDPOINT => snapshot.clusters = Arc::new(self.clusters.entries()),
            type_url::SECRET => snapshot.secrets = Arc::new(self.secrets.clone()),
            type_url::WORKLOAD => {
                snapshot.workloads = Arc::new(WorkloadIndex::build(self.workloads.values(), &self.network));
            }
            _ => {
                snapshot.connect_terminate =
                    self.listeners.connect_terminate.as_ref().map(|held| held.value.clone());
                snapshot.main_internal = self.listeners.main_internal.as_ref().map(|held| held.value.clone());
            }
        }
        self.snapshot = Arc::new(snapshot);
    }

    fn apply_secrets(&mut self, update: &Update<'_>, applied: &mut Applied) {
        for Resource { name, bytes } in &update.resources {
            let Some(secret) = applied.take(name, secret::translate(name, bytes)) else { continue };
            if self.secrets.get(*name).is_none_or(|known| **known != secret) {
                self.secrets.insert((*name).into(), Arc::new(secret));
                applied.changed = true;
            }
        }
        for name in update.removed {
            applied.changed |= self.secrets.remove(name.as_str()).is_some();
        }
        // istiod does not say so when we stop asking.
        let wanted = self.wanted_sds();
        self.secrets.retain(|name, _| wanted.contains(&**name));
    }

    fn apply_workloads(&mut self, update: &Update<'_>, applied: &mut Applied) {
        for Resource { name, bytes } in &update.resources {
            let Some(workload) = applied.take(name, workload::translate(name, bytes)) else { continue };
            let known = self.workloads.get(*name);
            if known.is_some_and(|known| known.content_hash == workload.content_hash) {
                continue;
            }
            if known.is_none() && self.workloads.len() >= RESOURCES_MAX {
                let reason = format!("more than {RESOURCES_MAX} workloads");
                let type_url = update.type_url.to_owned();
                applied.rejections.push(Rejection {
                    type_url,
                    name: (*name).to_owned(),
                    path: String::new(),
                    reason,
                });
                continue;
            }
            self.workloads.insert((*name).into(), Arc::new(workload));
            applied.changed = true;
        }
        // istiod also names Services here, which it never sent to a waypoint.
        for name in update.removed {
            applied.changed |= self.workloads.remove(name.as_str()).is_some();
        }
    }

    /// EDS names, derived from CDS.
    #[must_use]
    pub fn wanted_eds(&self) -> BTreeSet<String> {
        self.clusters.wanted_eds()
    }

    /// ECDS names, derived from the chains.
    #[must_use]
    pub fn wanted_ecds(&self) -> BTreeSet<String> {
        let chains = self.listeners.main_internal.iter().flat_map(|held| held.value.chains.values());
        chains.flat_map(|chain| &chain.extensions).map(|name| (**name).to_owned()).collect()
    }

    /// SDS names on ADS: credentials of TLS origination (`kubernetes://…`, `configmap://…`); files are read locally.
    #[must_use]
    pub fn wanted_sds(&self) -> BTreeSet<String> {
        self.clusters.wanted_sds()
    }

    /// Clusters whose endpoints are names: to resolve, and to hand back to [`Self::resolved`].
    #[must_use]
    pub fn wanted_dns(&self) -> Vec<WantedDns> {
        self.clusters.wanted_dns()
    }
}

impl Listeners {
    fn apply(&mut self, update: &Update<'_>, applied: &mut Applied) {
        for Resource { name, bytes } in &update.resources {
            if self.held_bytes(name) == Some(bytes) {
                continue;
            }
            let previous = self.main_internal.as_ref();
            let previous = previous.map(|held| Previous { listener: &held.value, extensions_changed: false });
            let translated = listener::translate(name, bytes, &self.extensions, previous);
            let Some(listener) = applied.take(name, translated) else { continue };
            let bytes = bytes.to_vec();
            match listener {
                Listener::ConnectTerminate(value) => self.connect_terminate = Some(Held { value, bytes }),
                Listener::MainInternal(value) => self.main_internal = Some(Held { value, bytes }),
                Listener::Internal => continue,
            }
            applied.changed = true;
        }
        for name in update.removed {
            match name.as_str() {
                "connect_terminate" => applied.changed |= self.connect_terminate.take().is_some(),
                "main_internal" => applied.changed |= self.main_internal.take().is_some(),
                _ => {}
            }
        }
        self.forget_unused_extensions();
    }

    fn held_bytes(&self, name: &str) -> Option<&[u8]> {
        match name {
            "connect_terminate" => self.connect_terminate.as_ref().map(|held| &*held.bytes),
            "main_internal" => self.main_internal.as_ref().map(|held| &*held.bytes),
            _ => None,
        }
    }

    /// istiod never removes an ECDS resource; those no chain asks for any more are dropped.
    fn forget_unused_extensions(&mut self) {
        let chains = self.main_internal.iter().flat_map(|held| held.value.chains.values());
        let asked: BTreeSet<&str> = chains.flat_map(|chain| &chain.extensions).map(|name| &**name).collect();
        self.extensions.policies.retain(|name, _| asked.contains(&**name));
    }

    fn apply_extensions(&mut self, update: &Update<'_>, applied: &mut Applied) {
        let before = self.extensions.clone();
        for Resource { name, bytes } in &update.resources {
            if let Some(policy) = applied.take(name, ecds::translate(name, bytes)) {
                self.extensions.policies.insert((*name).into(), policy);
            }
        }
        for name in update.removed {
            self.extensions.policies.remove(name.as_str());
        }
        let Some(held) = self.main_internal.as_mut().filter(|_| before != self.extensions) else { return };
        let previous = Previous { listener: &held.value, extensions_changed: true };
        let name = "main_internal";
        let again = listener::translate(name, &held.bytes, &self.extensions, Some(previous));
        if let Some(Listener::MainInternal(value)) = applied.take(name, again) {
            held.value = value;
            applied.changed = true;
        }
    }
}

#[cfg(test)]
mod tests;
