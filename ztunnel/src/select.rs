//! Where a connection of one of our pods goes: a pure function of snapshot, source, destination and chance.
//!
//! Invariants: a destination with a waypoint is only ever reached through it; a destination that speaks HBONE is never sent
//! plaintext; what cannot be done is refused by name ([`Refusal`]).
//! Spec: ztunnel `src/proxy/outbound.rs` and `src/state.rs`.
//! Differs from ztunnel: an address that is both a service's and a workload's counts as the service's throughout (ztunnel asks
//! twice with different preferences and so can miss a waypoint); endpoints on other networks are refused, since tunnels
//! through an east-west gateway are not built; endpoints that failed for this connection can be excluded.

mod balance;
mod inbound;

pub use balance::weighted;
pub use inbound::{Authority, InboundTarget, Rejected, inbound, inbound_service, is_waypoint_of};

use crate::state::{
    Destination, GatewayAddress, LoadBalancerMode, NetworkAddress, Service, Snapshot, TunnelProtocol,
    Workload,
};
use mesh::identity::SpiffeId;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Ports of the proxy in every pod.
pub const OUTBOUND_PORT: u16 = 15001;
/// Plaintext from outside the mesh arrives here.
pub const INBOUND_PLAINTEXT_PORT: u16 = 15006;
/// Tunnels arrive here, in pods and waypoints alike.
pub const HBONE_PORT: u16 = 15008;

/// Connections to these would come back to us.
#[must_use]
pub fn is_own_port(port: u16) -> bool {
    matches!(port, OUTBOUND_PORT | INBOUND_PLAINTEXT_PORT | HBONE_PORT)
}

/// A connection of one of our pods.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The pod.
    pub source: &'a Workload,
    /// As the application asked for.
    pub destination: SocketAddr,
    /// Endpoints (by uid) this connection already failed to reach.
    pub excluded: &'a [Arc<str>],
}

/// Where to connect, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub host: Host,
    pub port: u16,
    pub transport: Transport,
    /// Who is there; nobody we know for traffic that leaves the mesh.
    pub workload: Option<Arc<Workload>>,
    /// What the application addressed.
    pub service: Option<Arc<Service>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Ip(IpAddr),
    /// Not in the mesh's state; DNS knows.
    Name(Arc<str>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    Plain,
    Hbone {
        /// What the far side is asked to connect to.
        target: SocketAddr,
        /// Any one of these.
        expected: Arc<[SpiffeId]>,
        /// The far side is a waypoint.
        waypoint: bool,
    },
}

/// Why a connection goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("unknown waypoint {0}")]
    UnknownWaypoint(String),
    #[error("no healthy waypoint {0}")]
    NoHealthyWaypoint(String),
    #[error("no healthy upstream for {0}")]
    NoHealthyUpstream(String),
    #[error("service {0} has no port {1}")]
    UnknownPort(Arc<str>, u16),
    #[error("{0} is on network {1:?}: tunnels through a network gateway are not supported")]
    OtherNetwork(Arc<str>, Arc<str>),
    #[error("{0} has no address")]
    NoAddress(Arc<str>),
}

/// Decides. `random` yields numbers in [0, 1).
///
/// # Errors
/// When the connection must not or cannot be made.
pub fn select(
    snapshot: &Snapshot,
    request: &Request<'_>,
    random: &mut impl FnMut() -> f64,
) -> Result<Route, Refusal> {
    let address = NetworkAddress { network: request.source.network.clone(), ip: request.destination.ip() };
    if let Some(service) = snapshot.service_by_address(&address, &request.source.namespace) {
        return match service_waypoint(service, random) {
            Some(waypoint) => {
                let route = to_waypoint(snapshot, request, waypoint, random)?;
                Ok(Route { service: Some(service.clone()), ..route })
            }
            None => to_service(snapshot, request, service, random),
        };
    }
    let Some(workload) = snapshot.workload_by_address(&address) else {
        return Ok(passthrough(request, None));
    };
    match &workload.waypoint {
        Some(waypoint) if !is_waypoint_of(snapshot, request.source, waypoint) => {
            to_waypoint(snapshot, request, waypoint, random)
        }
        _ => to_workload(request, workload, request.destination.port(), None),
    }
}

/// Plain TCP to where the application wanted to go.
fn passthrough(request: &Request<'_>, service: Option<&Arc<Service>>) -> Route {
    Route {
        host: Host::Ip(request.destination.ip()),
        port: request.destination.port(),
        transport: Transport::Plain,
        workload: None,
        service: service.cloned(),
    }
}

fn service_waypoint<'a>(
    service: &'a Service,
    random: &mut impl FnMut() -> f64,
) -> Option<&'a GatewayAddress> {
    let choices = service.weighted_waypoints.iter().map(|(waypoint, weight)| (waypoint, *weight));
    weighted(choices, random()).or(service.waypoint.as_ref())
}

fn to_service(
    snapshot: &Snapshot,
    request: &Request<'_>,
    service: &Arc<Service>,
    random: &mut impl FnMut() -> f64,
) -> Result<Route, Refusal> {
    if service.load_balancer.mode == LoadBalancerMode::Passthrough {
        return Ok(passthrough(request, Some(service)));
    }
    let port = request.destination.port();
    if !service.ports.contains_key(&port) {
        return Err(Refusal::UnknownPort(service.key.clone(), port));
    }
    let (workload, target) = endpoint(snapshot, request, (service, port), random)?
        .ok_or_else(|| Refusal::NoHealthyUpstream(format!("{}:{port}", service.hostname)))?;
    to_workload(request, workload, target, Some(service))
}

fn to_workload(
    request: &Request<'_>,
    workload: &Arc<Workload>,
    port: u16,
    service: Option<&Arc<Service>>,
) -> Result<Route, Refusal> {
    same_network(request, workload)?;
    let host = host(workload, request.destination.ip(), service)
        .ok_or_else(|| Refusal::NoAddress(workload.uid.clone()))?;
    let (port, transport) = match (workload.protocol, &host) {
        (TunnelProtocol::Tcp, _) => (port, Transport::Plain),
        (TunnelProtocol::Hbone, Host::Ip(ip)) => {
            let expected = expected(workload, service);
            (HBONE_PORT, Transport::Hbone { target: SocketAddr::new(*ip, port), expected, waypoint: false })
        }
        // The tunnel's target is an address of the far side, and DNS cannot vouch for one.
        (TunnelProtocol::Hbone, Host::Name(_)) => return Err(Refusal::NoAddress(workload.uid.clone())),
    };
    Ok(Route { host, port, transport, workload: Some(workload.clone()), service: service.cloned() })
}

/// A tunnel to an instance of the waypoint, which is told the original destination and decides the rest.
fn to_waypoint(
    snapshot: &Snapshot,
    request: &Request<'_>,
    waypoint: &GatewayAddress,
    random: &mut impl FnMut() -> f64,
) -> Result<Route, Refusal> {
    let unknown = || Refusal::UnknownWaypoint(waypoint.destination.to_string());
    let (service, workload) = match &waypoint.destination {
        Destination::Hostname { namespace, hostname } => (
            snapshot.service(&format!("{namespace}/{hostname}")),
            snapshot.workload_by_hostname(hostname).filter(|workload| workload.namespace == *namespace),
        ),
        Destination::Address(address) => (
            snapshot.service_by_address(address, &request.source.namespace),
            snapshot.workload_by_address(address),
        ),
    };
    let (workload, port) = match (service, workload) {
        (Some(service), _) => endpoint(snapshot, request, (service, waypoint.hbone_port), random)?
            .ok_or_else(|| Refusal::NoHealthyWaypoint(waypoint.destination.to_string()))?,
        (None, Some(workload)) => (workload, waypoint.hbone_port),
        (None, None) => return Err(unknown()),
    };
    same_network(request, workload)?;
    let host = host(workload, request.destination.ip(), service)
        .ok_or_else(|| Refusal::NoAddress(workload.uid.clone()))?;
    let transport = Transport::Hbone {
        target: request.destination,
        expected: expected(workload, service),
        waypoint: true,
    };
    Ok(Route { host, port, transport, workload: Some(workload.clone()), service: None })
}

/// One endpoint of a service and the port to reach it on; none where there is no eligible one.
fn endpoint<'a>(
    snapshot: &'a Snapshot,
    request: &Request<'_>,
    (service, port): (&'a Service, u16),
    random: &mut impl FnMut() -> f64,
) -> Result<Option<(&'a Arc<Workload>, u16)>, Refusal> {
    let usable = |workload: &&Arc<Workload>| {
        !request.excluded.contains(&workload.uid)
            && target_port(service, workload, port).is_some()
            && (!workload.addresses.is_empty()
                || !workload.hostname.is_empty()
                || workload.network_gateway.is_some())
    };
    let usable = || snapshot.endpoints(service).filter(usable);
    let near = || usable().filter(|workload| workload.network == request.source.network);
    let chosen = balance::choose(request.source, &service.load_balancer, near, random());
    match (chosen, usable().find(|workload| workload.network != request.source.network)) {
        (Some(workload), _) => Ok(target_port(service, workload, port).map(|target| (workload, target))),
        (None, Some(far)) => Err(Refusal::OtherNetwork(far.uid.clone(), far.network.clone())),
        (None, None) => Ok(None),
    }
}

/// The endpoint's own mapping (named ports differ per pod), else the service's; a sandwiched proxy takes any port.
fn target_port(service: &Service, workload: &Workload, port: u16) -> Option<u16> {
    let own = workload.services.get(&service.key).and_then(|ports| ports.get(&port)).copied();
    let mapped = own.or_else(|| service.ports.get(&port).copied()).filter(|target| *target != 0);
    mapped.or_else(|| workload.application_tunnel.map(|_| port))
}

/// The address the client asked for where the workload has it, else one of the same family, else any.
fn host(workload: &Workload, requested: IpAddr, service: Option<&Arc<Service>>) -> Option<Host> {
    if workload.addresses.contains(&requested) {
        return Some(Host::Ip(requested));
    }
    let allowed = |ip: &&IpAddr| service.is_none_or(|service| service.ip_families.accepts(**ip));
    let same_family = |ip: &&IpAddr| ip.is_ipv4() == requested.is_ipv4();
    let mut addresses = workload.addresses.iter().filter(allowed);
    let ip = addresses.clone().find(same_family).or_else(|| addresses.next());
    ip.map(|ip| Host::Ip(*ip))
        .or_else(|| (!workload.hostname.is_empty()).then(|| Host::Name(workload.hostname.clone())))
}

fn expected(workload: &Workload, service: Option<&Arc<Service>>) -> Arc<[SpiffeId]> {
    let alternatives = service.into_iter().flat_map(|service| service.subject_alt_names.iter().cloned());
    std::iter::once(workload.identity.clone()).chain(alternatives).collect()
}

fn same_network(request: &Request<'_>, workload: &Workload) -> Result<(), Refusal> {
    if workload.network == request.source.network {
        Ok(())
    } else {
        Err(Refusal::OtherNetwork(workload.uid.clone(), workload.network.clone()))
    }
}

#[cfg(test)]
mod tests;
