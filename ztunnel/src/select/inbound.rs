//! What a tunnel that arrived at one of our pods may reach. Pure; spec: ztunnel `src/proxy/inbound.rs`.
//!
//! Invariant: the connection made for a tunnel goes to the pod the tunnel arrived at, whatever the tunnel asks for.

use crate::select::is_own_port;
use crate::state::{Destination, GatewayAddress, NetworkAddress, Service, Snapshot, Workload};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// `:authority` of a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    Address(SocketAddr),
    Host(Arc<str>, u16),
}

impl Authority {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some(Self::Address(SocketAddr::new(address.ip().to_canonical(), address.port())));
        }
        let (host, port) = text.rsplit_once(':')?;
        let is_host = !host.is_empty()
            && host.len() <= 253
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
        let port = port.parse().ok().filter(|port| *port != 0)?;
        is_host.then(|| Self::Host(host.to_ascii_lowercase().into(), port))
    }
}

/// Where the bytes of a tunnel go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundTarget {
    /// The application as policies and the access log see it.
    pub destination: SocketAddr,
    /// The application is told of the tunnel by the PROXY protocol, with this as destination.
    pub proxy_protocol: Option<SocketAddr>,
    /// What the tunnel addressed, where it named a service.
    pub service: Option<Arc<Service>>,
}

/// Why a tunnel is refused before policies are asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("ip mismatch: the tunnel arrived at {local} and asks for {asked}")]
    AddressMismatch { asked: IpAddr, local: IpAddr },
    #[error("no service {0}:{1} here")]
    UnknownService(Arc<str>, u16),
    #[error("attempted recursive call to ourselves (port {0})")]
    SelfCall(u16),
    #[error("service {0} has no address to announce by the PROXY protocol")]
    NoServiceAddress(Arc<str>),
}

/// Decides where a tunnel to `own`, arrived at `local`, leads.
///
/// # Errors
/// When it leads nowhere.
pub fn inbound(
    snapshot: &Snapshot,
    own: &Workload,
    local: IpAddr,
    authority: &Authority,
) -> Result<InboundTarget, Rejected> {
    let (port, service) = match authority {
        Authority::Address(asked) => {
            if asked.ip() != local
                && own.application_tunnel.is_none()
                && !is_our_waypointed(snapshot, own, asked.ip())
            {
                return Err(Rejected::AddressMismatch { asked: asked.ip(), local });
            }
            (asked.port(), None)
        }
        Authority::Host(host, port) => {
            let service = snapshot.service_by_host(host, &own.namespace, None);
            let unknown = || Rejected::UnknownService(host.clone(), *port);
            let service = service.ok_or_else(unknown)?;
            let endpoint = own.services.get(&service.key).and_then(|ports| ports.get(port)).copied();
            let target = endpoint.or_else(|| service.ports.get(port).copied()).filter(|target| *target != 0);
            (target.ok_or_else(unknown)?, Some(service.clone()))
        }
    };
    let tunnel = own.application_tunnel;
    let port = tunnel.and_then(|tunnel| tunnel.port).unwrap_or(port);
    if is_own_port(port) {
        return Err(Rejected::SelfCall(port));
    }
    let proxy_protocol = match tunnel {
        Some(tunnel) if tunnel.proxy_protocol => Some(announced(authority, service.as_deref(), own)?),
        _ => None,
    };
    Ok(InboundTarget { destination: SocketAddr::new(local, port), proxy_protocol, service })
}

/// The destination a sandwiched proxy is told: what the tunnel asked for, a service by one of its addresses.
fn announced(
    authority: &Authority,
    service: Option<&Service>,
    own: &Workload,
) -> Result<SocketAddr, Rejected> {
    match (authority, service) {
        (Authority::Address(address), _) => Ok(*address),
        (Authority::Host(host, port), service) => {
            let vips = service.into_iter().flat_map(|service| &service.vips);
            let ours = vips.filter(|vip| vip.network == own.network);
            let ip = ours.map(|vip| vip.ip).min_by_key(IpAddr::is_ipv6);
            ip.map(|ip| SocketAddr::new(ip, *port)).ok_or_else(|| Rejected::NoServiceAddress(host.clone()))
        }
    }
}

/// Whether `ip` belongs to a service or workload we are the waypoint of.
fn is_our_waypointed(snapshot: &Snapshot, own: &Workload, ip: IpAddr) -> bool {
    let address = NetworkAddress { network: own.network.clone(), ip };
    let is_ours = |waypoint: &GatewayAddress| is_waypoint_of(snapshot, own, waypoint);
    let service = snapshot.service_by_address(&address, &own.namespace);
    service.is_some_and(|service| {
        service
            .waypoint
            .iter()
            .chain(service.weighted_waypoints.iter().map(|(waypoint, _)| waypoint))
            .any(is_ours)
    }) || snapshot.workload_by_address(&address).is_some_and(|workload| workload.waypoint.iter().any(is_ours))
}

/// Whether `workload` is an instance of this waypoint.
#[must_use]
pub fn is_waypoint_of(snapshot: &Snapshot, workload: &Workload, waypoint: &GatewayAddress) -> bool {
    match &waypoint.destination {
        Destination::Hostname { namespace, hostname } => {
            workload.services.contains_key(&*format!("{namespace}/{hostname}"))
                || (!hostname.is_empty()
                    && workload.hostname == *hostname
                    && workload.namespace == *namespace)
        }
        Destination::Address(address) => {
            (workload.network == address.network && workload.addresses.contains(&address.ip))
                || snapshot
                    .service_by_address(address, &workload.namespace)
                    .is_some_and(|service| workload.services.contains_key(&service.key))
        }
    }
}

/// The service a connection to `port` of `own` most likely addressed, for telemetry: the one the tunnel's client named, else
/// the first whose target it is.
#[must_use]
pub fn inbound_service<'a>(
    snapshot: &'a Snapshot,
    own: &Workload,
    named: Option<&str>,
    port: u16,
) -> Option<&'a Arc<Service>> {
    let ours = |service: &&Arc<Service>| own.services.contains_key(&service.key);
    let by_name = named.and_then(|host| snapshot.service_by_host(host, &own.namespace, None)).filter(ours);
    by_name.or_else(|| {
        let by_port = |(key, ports): (&Arc<str>, &crate::state::Ports)| {
            let service = snapshot.service(key)?;
            let mut targets = ports.values().chain(service.ports.values());
            targets.any(|target| *target == port).then_some(service)
        };
        own.services.iter().find_map(by_port)
    })
}
