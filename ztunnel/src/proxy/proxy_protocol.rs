//! The PROXY protocol header (version 2) told to a proxy that sits behind us in the same pod.
//!
//! Spec: HAProxy's `proxy-protocol.txt` §2.2; TLV 0xD0 carries the peer's SPIFFE id (ztunnel `src/proxy.rs`).

use mesh::identity::SpiffeId;
use std::net::{IpAddr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const TLV_IDENTITY: u8 = 0xd0;

/// The header for a connection from `source` that was meant for `destination`.
///
/// Addresses of different families are both written as IPv6.
#[must_use]
pub(super) fn header(source: SocketAddr, destination: SocketAddr, identity: Option<&SpiffeId>) -> Vec<u8> {
    let mut body = Vec::with_capacity(96);
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            body.extend(source.octets());
            body.extend(destination.octets());
            0x11 // TCP over IPv4
        }
        (source, destination) => {
            body.extend(as_v6(source));
            body.extend(as_v6(destination));
            0x21 // TCP over IPv6
        }
    };
    body.extend(source.port().to_be_bytes());
    body.extend(destination.port().to_be_bytes());
    if let Some(identity) = identity.map(SpiffeId::as_str)
        && let Ok(length) = u16::try_from(identity.len())
    {
        body.push(TLV_IDENTITY);
        body.extend(length.to_be_bytes());
        body.extend(identity.as_bytes());
    }
    let length = u16::try_from(body.len()).expect("36 bytes of addresses and an identity from a certificate");
    let mut header = Vec::with_capacity(16 + body.len());
    header.extend(SIGNATURE);
    header.extend([0x21, family]); // version 2, PROXY
    header.extend(length.to_be_bytes());
    header.extend(body);
    header
}

fn as_v6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests;
