//! The PROXY protocol header in front of a connection: who the client is, and where it wanted to go.
//! Spec: haproxy `doc/proxy-protocol.txt`, versions 1 and 2; Envoy: `transport_sockets.proxy_protocol`.

use std::net::{IpAddr, SocketAddr};
use waypoint_core::model::cluster::ProxyProtocol;

/// Part of a connection's identity: it tells the endpoint about one client, so it serves no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProxyHeader {
    pub version: ProxyProtocol,
    /// The client, and where it wanted to go; `None` on connections of our own.
    pub client: Option<(SocketAddr, SocketAddr)>,
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, commands LOCAL and PROXY.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

impl ProxyHeader {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match (self.version, self.client) {
            (ProxyProtocol::V1, Some((source, destination))) => text(source, destination),
            (ProxyProtocol::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
            (ProxyProtocol::V2, Some((source, destination))) => binary(source, destination),
            (ProxyProtocol::V2, None) => [&SIGNATURE[..], &[LOCAL, 0, 0, 0]].concat(),
        }
    }
}

fn text(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let (family, source, destination) = match ips(from, to) {
        Ips::V4(source, destination) => ("TCP4", IpAddr::from(source), IpAddr::from(destination)),
        Ips::V6(source, destination) => ("TCP6", IpAddr::from(source), IpAddr::from(destination)),
    };
    format!("PROXY {family} {source} {destination} {} {}\r\n", from.port(), to.port()).into_bytes()
}

fn binary(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.push(PROXY);
    match ips(from, to) {
        Ips::V4(source, destination) => {
            header.extend([TCP4, 0, 12]);
            header.extend(source);
            header.extend(destination);
        }
        Ips::V6(source, destination) => {
            header.extend([TCP6, 0, 36]);
            header.extend(source);
            header.extend(destination);
        }
    }
    header.extend(from.port().to_be_bytes());
    header.extend(to.port().to_be_bytes());
    header
}

/// Both of one family; a mixed pair is written as IPv6.
fn ips(source: SocketAddr, destination: SocketAddr) -> Ips {
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Ips::V4(source.octets(), destination.octets()),
        (source, destination) => Ips::V6(octets(source), octets(destination)),
    }
}

enum Ips {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests;
