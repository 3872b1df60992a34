//! Applies what istiod sends to the snapshot, and what follows from it: certificates for our pods, tunnels to the gone.
//!
//! Good resources of a partly bad response are applied; a bad one leaves its last good version in place and is refused by name.

use crate::state::{Invalid, Policy, Service, Snapshot, Store, Workload};
use crate::telemetry::Metrics;
use mesh::lifecycle::ReadyToken;
use mesh::secrets::SecretStore;
use prost::Message;
use std::sync::Arc;
use tokio::sync::mpsc;
use xds_client::client::Handler;
use xds_client::delta::{Rejection, Subscription};
use xds_client::proto::authorization::Authorization;
use xds_client::proto::envoy::envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource};
use xds_client::proto::workload::{Address, address};
use xds_client::type_url::{ADDRESS, AUTHORIZATION};

/// The one writer of the [`Store`].
#[derive(Debug)]
pub struct Updates {
    draft: Snapshot,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    /// Where certificates are fetched ahead of need; none in tests of the state alone.
    secrets: Option<SecretStore>,
    /// Uids of workloads that went, or came back as somebody else.
    removed: mpsc::UnboundedSender<Arc<str>>,
    /// Given up when the first response of its type is applied.
    pending: Vec<(&'static str, ReadyToken)>,
    node: Arc<str>,
}

impl Updates {
    #[must_use]
    pub fn new(
        node: &str,
        (store, metrics): (Arc<Store>, Arc<Metrics>),
        secrets: Option<SecretStore>,
        removed: mpsc::UnboundedSender<Arc<str>>,
        pending: Vec<(&'static str, ReadyToken)>,
    ) -> Self {
        Self { draft: Snapshot::new(node), store, metrics, secrets, removed, pending, node: node.into() }
    }

    fn apply_address(&mut self, resource: &Resource) -> Result<(), Refused> {
        let any = resource.resource.as_ref().ok_or(Refused::Empty)?;
        match Address::decode(any.value.as_slice())?.r#type.ok_or(Refused::Empty)? {
            address::Type::Workload(workload) => self.insert_workload(Workload::try_from(&workload)?),
            address::Type::Service(service) => self.draft.insert_service(Service::try_from(&service)?),
        }
        Ok(())
    }

    fn insert_workload(&mut self, workload: Workload) {
        let old = self.draft.workload(&workload.uid).cloned();
        let local = workload.node == self.node && self.needs_certificate(&workload);
        let identity = workload.identity.clone();
        let moved =
            old.as_ref().is_some_and(|old| old.addresses != workload.addresses || old.identity != identity);
        if moved {
            self.gone(&workload.uid);
        }
        self.draft.insert_workload(workload);
        if local && let Some(secrets) = &self.secrets {
            secrets.prefetch(&identity);
        }
        if let Some(old) = old.filter(|old| old.identity != identity) {
            self.forget(&old);
        }
    }

    fn remove_address(&mut self, name: &str) {
        if let Some(old) = self.draft.remove_address(name) {
            self.gone(&old.uid);
            self.forget(&old);
        }
    }

    fn apply_authorization(&mut self, resource: &Resource) -> Result<(), Refused> {
        let any = resource.resource.as_ref().ok_or(Refused::Empty)?;
        let policy = Policy::try_from(&Authorization::decode(any.value.as_slice())?)?;
        self.draft.insert_policy(policy);
        Ok(())
    }

    /// Ours to speak HBONE for, as far as istiod says.
    fn needs_certificate(&self, workload: &Workload) -> bool {
        workload.protocol == crate::state::TunnelProtocol::Hbone && !workload.native_tunnel
    }

    /// Drops a certificate nobody on this node needs any more.
    fn forget(&self, old: &Workload) {
        if let Some(secrets) = &self.secrets
            && old.node == self.node
            && !self.draft.is_local_identity(&old.identity)
        {
            secrets.forget(&old.identity);
        }
    }

    fn gone(&self, uid: &Arc<str>) {
        // Nobody listens while the process ends.
        let _ = self.removed.send(uid.clone());
    }
}

/// Why a resource is not taken.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("no resource in it")]
    Empty,
    #[error(transparent)]
    Decode(#[from] prost::DecodeError),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl Handler for Updates {
    fn apply(&mut self, response: &DeltaDiscoveryResponse) -> Vec<Rejection> {
        self.metrics.xds_message(&response.type_url, response.encoded_len());
        let addresses = response.type_url == ADDRESS;
        let mut rejections = Vec::new();
        for resource in &response.resources {
            let applied =
                if addresses { self.apply_address(resource) } else { self.apply_authorization(resource) };
            if let Err(refused) = applied {
                rejections.push(Rejection { name: resource.name.clone(), reason: refused.to_string() });
            }
        }
        for name in &response.removed_resources {
            if addresses {
                self.remove_address(name);
            } else {
                self.draft.remove_policy(name);
            }
        }
        self.store.publish(self.draft.clone());
        self.pending.retain(|(type_url, _)| *type_url != response.type_url);
        rejections
    }

    fn subscriptions(&self) -> Vec<(&'static str, Subscription)> {
        vec![(ADDRESS, Subscription::Wildcard), (AUTHORIZATION, Subscription::Wildcard)]
    }

    fn connected(&mut self, connected: bool) {
        if connected {
            tracing::info!("connected to istiod");
        }
    }
}
