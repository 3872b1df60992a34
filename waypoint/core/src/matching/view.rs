//! What policy and routing read of a request or a connection: borrowed, immutable, gathered once by the IO.
//!
//! Invariant: identity and addresses come from the tunnel (TLS peer, source of the connection, CONNECT target), never
//! from a header, except `remote_ip`, whose very meaning is x-forwarded-for.

use super::path::NormalizedPath;
use crate::model::metadata::DynamicMetadata;
use http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

#[derive(Clone, Copy, Debug)]
pub struct NetworkView<'a> {
    /// The URI SAN of the TLS peer of this tunnel.
    pub peer: Option<&'a str>,
    /// The client pod.
    /// Differs from Envoy: behind its internal listener the address is opaque and `ipBlocks` never match.
    pub source_ip: IpAddr,
    /// The CONNECT target: the service's VIP and port.
    pub destination: SocketAddr,
    pub sni: Option<&'a str>,
    pub metadata: &'a DynamicMetadata,
}

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub connection: NetworkView<'a>,
    pub method: &'a str,
    pub path: &'a NormalizedPath,
    /// `Host` or `:authority`, as it came.
    pub authority: &'a str,
    /// `:scheme` of HTTP/2, the scheme of an absolute-form target, else x-forwarded-proto, else `http`.
    pub scheme: &'a str,
    pub headers: &'a HeaderMap,
    /// Last address of x-forwarded-for, else the client pod: see `ip::remote_ip`.
    pub remote_ip: IpAddr,
}

#[cfg(test)]
pub(crate) mod sample;
