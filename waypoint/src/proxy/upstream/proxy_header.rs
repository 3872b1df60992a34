//! The PROXY protocol header in front of a connection: who the client is, and where it wanted to go.
//! Spec: haproxy `doc/proxy-protocol.txt`, versions 1 and 2; Envoy: `transport_sockets.proxy_protocol`.

use std::net::{IpAddr, SocketAddr};
use waypoint_core::model::cluster::ProxyProtocol;

/// Part of a connection's identity: it tells the endpoint about one client, so it serves no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProxyHeader {
    pub version: ProxyProtocol,
    pub source: SocketAddr,
    pub destination: SocketAddr,
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

impl ProxyHeader {
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self.version {
            ProxyProtocol::V1 => self.text(),
            ProxyProtocol::V2 => self.binary(),
        }
    }

    fn text(&self) -> Vec<u8> {
        let (family, source, destination) = match self.ips() {
            Ips::V4(source, destination) => ("TCP4", IpAddr::from(source), IpAddr::from(destination)),
            Ips::V6(source, destination) => ("TCP6", IpAddr::from(source), IpAddr::from(destination)),
        };
        let (from, to) = (self.source.port(), self.destination.port());
        format!("PROXY {family} {source} {destination} {from} {to}\r\n").into_bytes()
    }

    fn binary(&self) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        header.push(PROXY);
        match self.ips() {
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
        header.extend(self.source.port().to_be_bytes());
        header.extend(self.destination.port().to_be_bytes());
        header
    }

    /// Both of one family; a mixed pair is written as IPv6.
    fn ips(&self) -> Ips {
        match (self.source.ip().to_canonical(), self.destination.ip().to_canonical()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ips::V4(source.octets(), destination.octets()),
            (source, destination) => Ips::V6(octets(source), octets(destination)),
        }
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
