//! An endpoint together with what WDS knows of it now: whom to expect at the other end.
//!
//! Invariant: where WDS knows the pod, its exact identity is expected; another pod on a reused address is never
//! taken for it, because the workload's uid is part of every pool key.

use super::proxy_header::ProxyHeader;
use mesh::identity::SpiffeId;
use mesh::tls::ExpectedPeer;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use waypoint_core::model::endpoint::EndpointAddress;
use waypoint_core::model::workload::Workload;
use waypoint_core::store::Snapshot;

#[derive(Clone, Debug)]
pub struct Destination {
    pub address: EndpointAddress,
    pub workload: Option<Arc<Workload>>,
    /// The gateway of another network on the way there.
    gateway: Option<Arc<Workload>>,
    /// The request's host, where TLS may ask for it or check it.
    pub host: Option<Arc<str>>,
    /// Goes before everything else.
    pub proxy_header: Option<ProxyHeader>,
}

impl Destination {
    #[must_use]
    pub fn new(address: EndpointAddress, snapshot: &Snapshot) -> Self {
        let workload = ip(&address).and_then(|ip| snapshot.workload(ip)).cloned();
        let gateway = match &address {
            EndpointAddress::DoubleHbone { gateway, .. } => snapshot.workload(gateway.ip()).cloned(),
            _ => None,
        };
        Self { address, workload, gateway, host: None, proxy_header: None }
    }

    fn tunnel_end(&self) -> Option<&Arc<Workload>> {
        self.gateway.as_ref().or(self.workload.as_ref())
    }

    /// The address TLS is spoken with.
    #[must_use]
    pub fn peer_ip(&self) -> IpAddr {
        match &self.address {
            EndpointAddress::DoubleHbone { gateway, .. } => gateway.ip(),
            address => ip(address).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        }
    }

    /// The uid of the workload the tunnel leads to, or a stand-in that is unique to the address.
    #[must_use]
    pub fn uid(&self) -> Arc<str> {
        self.tunnel_end().map_or_else(|| Arc::from(""), |workload| workload.uid.clone())
    }

    /// Whom the tunnel must lead to.
    #[must_use]
    pub fn expected(&self, trust_domains: &ExpectedPeer) -> ExpectedPeer {
        let principal = self.tunnel_end().and_then(|workload| SpiffeId::parse(&workload.principal).ok());
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
