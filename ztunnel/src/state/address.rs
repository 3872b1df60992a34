//! Addresses as WDS writes them: an IP within a network, and where a gateway is to be found.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use xds_client::proto::workload as proto;

/// An IP address is only unique within its network.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkAddress {
    pub network: Arc<str>,
    pub ip: IpAddr,
}

/// `network/ip`, the form of config dumps; the default network is empty.
impl fmt::Display for NetworkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.ip)
    }
}

/// A range of virtual addresses of one service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkCidr {
    pub network: Arc<str>,
    pub cidr: IpNet,
}

/// Where a waypoint or an east-west gateway is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatewayAddress {
    pub destination: Destination,
    /// Port its HBONE server listens on.
    pub hbone_port: u16,
}

/// By name where istiod knows one, else by address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    Hostname { namespace: Arc<str>, hostname: Arc<str> },
    Address(NetworkAddress),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hostname { namespace, hostname } => write!(f, "{namespace}/{hostname}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What makes a resource unusable; its text goes to istiod in the NACK.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{field} is no IP address ({length} bytes)")]
    Ip { field: &'static str, length: usize },
    #[error("{field}: {value} is out of range")]
    Number { field: &'static str, value: u32 },
    #[error("{field}: {value} is not supported")]
    Enum { field: &'static str, value: i32 },
    #[error("{field}: {value:?} is not of the form namespace/hostname")]
    Key { field: &'static str, value: String },
    #[error(transparent)]
    Identity(#[from] mesh::identity::ParseSpiffeIdError),
}

/// 4 or 16 bytes; an IPv4 address written as IPv6 is the IPv4 address.
pub(crate) fn ip(field: &'static str, bytes: &[u8]) -> Result<IpAddr, Invalid> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    match <[u8; 16]>::try_from(bytes) {
        Ok(v6) => Ok(IpAddr::V6(Ipv6Addr::from(v6)).to_canonical()),
        Err(_) => Err(Invalid::Ip { field, length: bytes.len() }),
    }
}

/// A range; without a length the single address.
pub(crate) fn cidr(field: &'static str, bytes: &[u8], length: Option<u32>) -> Result<IpNet, Invalid> {
    let ip = ip(field, bytes)?;
    let Some(value) = length else { return Ok(IpNet::from(ip)) };
    let error = || Invalid::Number { field, value };
    let length = u8::try_from(value).map_err(|_| error())?;
    IpNet::new(ip, length).map(|net| net.trunc()).map_err(|_| error())
}

pub(crate) fn port(field: &'static str, value: u32) -> Result<u16, Invalid> {
    u16::try_from(value).map_err(|_| Invalid::Number { field, value })
}

impl TryFrom<&proto::GatewayAddress> for GatewayAddress {
    type Error = Invalid;

    fn try_from(gateway: &proto::GatewayAddress) -> Result<Self, Invalid> {
        use proto::gateway_address::Destination as Proto;
        let destination = match &gateway.destination {
            Some(Proto::Hostname(name)) => Destination::Hostname {
                namespace: name.namespace.as_str().into(),
                hostname: name.hostname.as_str().into(),
            },
            Some(Proto::Address(address)) => Destination::Address(NetworkAddress {
                network: address.network.as_str().into(),
                ip: ip("gateway address", &address.address)?,
            }),
            None => return Err(Invalid::Missing("gateway destination")),
        };
        Ok(Self { destination, hbone_port: port("hbone_mtls_port", gateway.hbone_mtls_port)? })
    }
}

/// Istio fills empty fields of WDS with defaults to keep 100 000 workloads small on the wire.
pub(crate) fn or_default(text: &str, default: &str) -> Arc<str> {
    if text.is_empty() { default.into() } else { text.into() }
}
