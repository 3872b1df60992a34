//! An endpoint together with what WDS knows of it now: whom to expect at the other end.
//!
//! Invariant: where WDS knows the pod, its exact identity is expected; another pod on a reused address is never
//! taken for it, because the workload's uid is part of every pool key.

use mesh::identity::SpiffeId;
use mesh::tls::ExpectedPeer;
use std::net::IpAddr;
use std::sync::Arc;
use waypoint_core::model::endpoint::EndpointAddress;
use waypoint_core::model::workload::Workload;
use waypoint_core::store::Snapshot;

#[derive(Clone, Debug)]
pub struct Destination {
    pub address: EndpointAddress,
    pub workload: Option<Arc<Workload>>,
}

impl Destination {
    #[must_use]
    pub fn new(address: EndpointAddress, snapshot: &Snapshot) -> Self {
        let workload = ip(&address).and_then(|ip| snapshot.workload(ip)).cloned();
        Self { address, workload }
    }

    /// The uid of the workload, or a stand-in that is unique to the address.
    #[must_use]
    pub fn uid(&self) -> Arc<str> {
        self.workload.as_ref().map_or_else(|| Arc::from(""), |workload| workload.uid.clone())
    }

    /// Whom the tunnel must lead to.
    #[must_use]
    pub fn expected(&self, trust_domains: &ExpectedPeer) -> ExpectedPeer {
        let principal = self.workload.as_ref().and_then(|workload| SpiffeId::parse(&workload.principal).ok());
        principal.map_or_else(|| trust_domains.clone(), ExpectedPeer::exactly)
    }

    /// `%UPSTREAM_HOST%` as Envoy prints it.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.address {
            EndpointAddress::Hbone { target, .. } => format!("envoy://connect_originate/{target}"),
            EndpointAddress::DoubleHbone { gateway, .. } => {
                format!("envoy://inner_connect_originate/{gateway}")
            }
            EndpointAddress::Direct { address, .. } => address.to_string(),
            EndpointAddress::Host { name, port } => format!("{name}:{port}"),
        }
    }
}

fn ip(address: &EndpointAddress) -> Option<IpAddr> {
    match address {
        EndpointAddress::Hbone { target, .. } => Some(target.ip()),
        EndpointAddress::Direct { address, .. } => Some(address.ip()),
        EndpointAddress::DoubleHbone { .. } | EndpointAddress::Host { .. } => None,
    }
}
