//! A service: names and virtual addresses in front of workloads. Spec: `istio.workload.Service`.
//!
//! Which workloads are behind it, the workloads say; a service holds none ([`crate::state::Snapshot::members`]).

use crate::state::address::{GatewayAddress, Invalid, NetworkAddress, NetworkCidr, cidr, ip};
use crate::state::workload::{Locality, Ports, ServiceKey, Workload, ports};
use mesh::identity::SpiffeId;
use std::net::IpAddr;
use std::sync::Arc;
use xds_client::proto::workload as proto;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub key: ServiceKey,
    pub name: Arc<str>,
    pub namespace: Arc<str>,
    pub hostname: Arc<str>,
    pub vips: Vec<NetworkAddress>,
    pub cidr_vips: Vec<NetworkCidr>,
    pub ports: Ports,
    /// Identities accepted of its endpoints beside the endpoint's own.
    pub subject_alt_names: Vec<SpiffeId>,
    pub waypoint: Option<GatewayAddress>,
    /// Wins over `waypoint` where any weight is positive.
    pub weighted_waypoints: Vec<(GatewayAddress, u32)>,
    pub load_balancer: LoadBalancer,
    pub ip_families: IpFamilies,
    /// A Kubernetes Service; wins over a `ServiceEntry` with the same host or address.
    pub canonical: bool,
    /// Seen from its own namespace only.
    pub private: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadBalancer {
    pub mode: LoadBalancerMode,
    pub preferences: Vec<Scope>,
    /// Endpoints that are not ready take traffic too.
    pub allow_unhealthy: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancerMode {
    /// Every endpoint alike.
    #[default]
    Standard,
    /// Only endpoints that match every preference.
    Strict,
    /// Endpoints that match the longest run of preferences.
    Failover,
    /// No endpoints: connections go to the address they were made to.
    Passthrough,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Region,
    Zone,
    Subzone,
    Node,
    Cluster,
    Network,
}

impl Scope {
    /// Whether two workloads share this scope.
    #[must_use]
    pub fn is_shared(self, a: &Workload, b: &Workload) -> bool {
        let place = |pick: fn(&Locality) -> &Arc<str>| pick(&a.locality) == pick(&b.locality);
        match self {
            Self::Region => place(|locality| &locality.region),
            Self::Zone => place(|locality| &locality.zone),
            Self::Subzone => place(|locality| &locality.subzone),
            Self::Node => a.node == b.node,
            Self::Cluster => a.cluster_id == b.cluster_id,
            Self::Network => a.network == b.network,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpFamilies {
    #[default]
    Automatic,
    Ipv4Only,
    Ipv6Only,
    Dual,
}

impl IpFamilies {
    #[must_use]
    pub fn accepts(self, ip: IpAddr) -> bool {
        match self {
            Self::Automatic | Self::Dual => true,
            Self::Ipv4Only => ip.is_ipv4(),
            Self::Ipv6Only => ip.is_ipv6(),
        }
    }
}

impl Service {
    /// Whether workloads of `namespace` may know of it.
    #[must_use]
    pub fn is_visible(&self, namespace: &str) -> bool {
        !self.private || *self.namespace == *namespace
    }

    /// Whether `workload` may take its traffic.
    #[must_use]
    pub fn admits(&self, workload: &Workload) -> bool {
        workload.healthy || self.load_balancer.allow_unhealthy
    }
}

impl TryFrom<&proto::Service> for Service {
    type Error = Invalid;

    fn try_from(service: &proto::Service) -> Result<Self, Invalid> {
        if service.hostname.is_empty() {
            return Err(Invalid::Missing("hostname"));
        }
        let (vips, cidr_vips) = addresses(&service.addresses)?;
        Ok(Self {
            key: format!("{}/{}", service.namespace, service.hostname).into(),
            name: service.name.as_str().into(),
            namespace: service.namespace.as_str().into(),
            hostname: service.hostname.as_str().into(),
            vips,
            cidr_vips,
            ports: ports(&service.ports)?,
            // A name that is no SPIFFE id (a DNS name of an external service) can be nobody's identity in a tunnel.
            subject_alt_names: service
                .subject_alt_names
                .iter()
                .filter_map(|san| SpiffeId::parse(san).ok())
                .collect(),
            waypoint: service.waypoint.as_ref().map(GatewayAddress::try_from).transpose()?,
            weighted_waypoints: service.weighted_waypoints.iter().map(weighted).collect::<Result<_, _>>()?,
            load_balancer: service
                .load_balancing
                .as_ref()
                .map(load_balancer)
                .transpose()?
                .unwrap_or_default(),
            ip_families: ip_families(service.ip_families)?,
            canonical: service.canonical,
            // An unknown value is public, as in ztunnel: hiding a service would break its clients.
            private: service.visibility == proto::service::Visibility::Namespace as i32,
        })
    }
}

fn addresses(list: &[proto::NetworkAddress]) -> Result<(Vec<NetworkAddress>, Vec<NetworkCidr>), Invalid> {
    let (mut vips, mut cidrs) = (Vec::new(), Vec::new());
    for entry in list {
        let network: Arc<str> = entry.network.as_str().into();
        let ip = ip("address", &entry.address)?;
        let net = cidr("address", &entry.address, entry.length)?;
        if net.prefix_len() == net.max_prefix_len() {
            vips.push(NetworkAddress { network, ip });
        } else {
            cidrs.push(NetworkCidr { network, cidr: net });
        }
    }
    Ok((vips, cidrs))
}

fn weighted(waypoint: &proto::WeightedWaypoint) -> Result<(GatewayAddress, u32), Invalid> {
    let destination =
        waypoint.destination.as_ref().ok_or(Invalid::Missing("weighted waypoint destination"))?;
    Ok((destination.try_into()?, waypoint.weight))
}

fn load_balancer(balancing: &proto::LoadBalancing) -> Result<LoadBalancer, Invalid> {
    use proto::load_balancing::{HealthPolicy, Mode};
    let mode = match Mode::try_from(balancing.mode) {
        Ok(Mode::UnspecifiedMode) => LoadBalancerMode::Standard,
        Ok(Mode::Strict) => LoadBalancerMode::Strict,
        Ok(Mode::Failover) => LoadBalancerMode::Failover,
        Ok(Mode::Passthrough) => LoadBalancerMode::Passthrough,
        Err(_) => return Err(Invalid::Enum { field: "load_balancing.mode", value: balancing.mode }),
    };
    Ok(LoadBalancer {
        mode,
        preferences: balancing
            .routing_preference
            .iter()
            .map(|value| scope(*value))
            .collect::<Result<_, _>>()?,
        allow_unhealthy: balancing.health_policy == HealthPolicy::AllowAll as i32,
    })
}

fn scope(value: i32) -> Result<Scope, Invalid> {
    use proto::load_balancing::Scope as Proto;
    match Proto::try_from(value) {
        Ok(Proto::Region) => Ok(Scope::Region),
        Ok(Proto::Zone) => Ok(Scope::Zone),
        Ok(Proto::Subzone) => Ok(Scope::Subzone),
        Ok(Proto::Node) => Ok(Scope::Node),
        Ok(Proto::Cluster) => Ok(Scope::Cluster),
        Ok(Proto::Network) => Ok(Scope::Network),
        Ok(Proto::UnspecifiedScope) | Err(_) => Err(Invalid::Enum { field: "routing_preference", value }),
    }
}

fn ip_families(value: i32) -> Result<IpFamilies, Invalid> {
    match proto::IpFamilies::try_from(value) {
        Ok(proto::IpFamilies::Automatic) => Ok(IpFamilies::Automatic),
        Ok(proto::IpFamilies::Ipv4Only) => Ok(IpFamilies::Ipv4Only),
        Ok(proto::IpFamilies::Ipv6Only) => Ok(IpFamilies::Ipv6Only),
        Ok(proto::IpFamilies::Dual) => Ok(IpFamilies::Dual),
        Err(_) => Err(Invalid::Enum { field: "ip_families", value }),
    }
}

#[cfg(test)]
mod tests;
