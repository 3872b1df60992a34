//! Endpoints of a cluster. Envoy: `config.endpoint.v3.ClusterLoadAssignment`.

use std::net::SocketAddr;
use std::sync::Arc;

/// One version of a cluster's endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assignment {
    /// Sorted by priority, then locality.
    pub groups: Vec<LocalityGroup>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LocalityGroup {
    pub priority: u32,
    pub locality: Arc<Locality>,
    /// Locality weight; 0 when unset.
    pub weight: u32,
    pub endpoints: Vec<Arc<Endpoint>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locality {
    pub region: Box<str>,
    pub zone: Box<str>,
    pub sub_zone: Box<str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub address: EndpointAddress,
    /// The name it was found by, for routes that send it as Host (`auto_host_rewrite`).
    pub hostname: Option<Arc<str>>,
    pub health: Health,
    /// At least 1.
    pub weight: u32,
    /// `filter_metadata.istio.workload`: `name;namespace;canonical;revision;cluster`.
    pub workload: Option<Arc<str>>,
    /// `envoy.transport_socket_match`: key, value pairs that select the cluster's transport socket.
    pub transport_match: Vec<(Arc<str>, Arc<str>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// HBONE: CONNECT `target` on `tunnel` (pod IP, port 15008, or the gateway named by metadata `waypoint`).
    Hbone { target: SocketAddr, tunnel: SocketAddr },
    /// HBONE through an east-west gateway of another network: CONNECT `target` (host:port) inside CONNECT on `gateway`.
    DoubleHbone { gateway: SocketAddr, target: Arc<str> },
    /// No mesh on the other side; `additional` are further addresses of the same host (happy eyeballs).
    Direct { address: SocketAddr, additional: Vec<SocketAddr> },
    /// A DNS name still to be resolved (DNS clusters).
    Host { name: Arc<str>, port: u16 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Healthy,
    Degraded,
    Unhealthy,
    Draining,
}
