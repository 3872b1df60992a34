//! Transport sockets of a cluster: HBONE or plain by endpoint, or TLS to something outside the mesh; the PROXY protocol before either.

use super::super::pb::{cluster as pb, core, internal_upstream, proxy_protocol, tls};
use super::super::problem::{At, Problem, Result, Warnings};
use super::super::{values, wire};
use super::origination::{self, ByHost};
use crate::model::cluster::{ProxyProtocol, Transport};
use std::sync::Arc;

/// What the sockets around each other add up to.
#[derive(Clone, Debug)]
pub(super) struct Sockets {
    pub(super) transport: Transport,
    pub(super) proxy_protocol: Option<ProxyProtocol>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self { transport: Transport::ByEndpoint, proxy_protocol: None }
    }
}

pub(super) fn sockets(proto: &mut pb::Cluster, by_host: ByHost, warnings: &mut Warnings) -> Result<Sockets> {
    let socket = proto.transport_socket.take();
    let matches = std::mem::take(&mut proto.transport_socket_matches);
    if matches.is_empty() {
        return self::socket(socket, by_host, warnings).at("transport_socket");
    }
    // `outbound` clusters. `{tunnel: http}` is HBONE, which the endpoint's address says already; legacy mTLS endpoints are
    // left out when the cluster is joined with them; what remains is the entry that matches everything.
    let other = |one: &pb::cluster::TransportSocketMatch| {
        one.r#match.as_ref().is_none_or(|wanted| wanted.fields.is_empty())
    };
    match matches.into_iter().find(other) {
        Some(rest) => self::socket(rest.transport_socket, by_host, warnings).at("transport_socket_matches"),
        None => self::socket(socket, by_host, warnings).at("transport_socket"),
    }
}

/// `{tlsMode: istio}`: sidecars without HBONE.
pub(super) fn is_legacy(one: &pb::cluster::TransportSocketMatch) -> bool {
    let mode = one.r#match.as_ref().and_then(|wanted| wanted.fields.get("tlsMode"));
    mode.and_then(values::text) == Some("istio")
}

pub(super) fn unsupported(what: &str) -> Problem {
    Problem::unsupported("unsupported_transport_socket", what)
}

fn socket(
    socket: Option<core::TransportSocket>,
    by_host: ByHost,
    warnings: &mut Warnings,
) -> Result<Sockets> {
    let Some(socket) = socket else { return Ok(Sockets::default()) };
    let Some(core::transport_socket::ConfigType::TypedConfig(any)) = &socket.config_type else {
        return Err(unsupported(&socket.name));
    };
    match wire::type_name(any) {
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" => Ok(Sockets::default()),
        // For endpoints with a socket address the wrapper does nothing.
        "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport" => {
            let inner: internal_upstream::InternalUpstreamTransport = wire::unpack(any, warnings)?;
            self::socket(inner.transport_socket, by_host, warnings)
        }
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext" => {
            let context: tls::UpstreamTlsContext = wire::unpack(any, warnings)?;
            let tls = origination::origination(context, by_host)?;
            Ok(Sockets { transport: Transport::Tls(Arc::new(tls)), proxy_protocol: None })
        }
        "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport" => {
            let mut outer: proxy_protocol::ProxyProtocolUpstreamTransport = wire::unpack(any, warnings)?;
            let inner = self::socket(outer.transport_socket.take(), by_host, warnings)?;
            let version = origination::proxy_protocol(outer.config.take())?;
            wire::nothing_left(&outer)?;
            if inner.proxy_protocol.is_some() {
                return Err(unsupported("proxy_protocol_twice"));
            }
            Ok(Sockets { proxy_protocol: Some(version), ..inner })
        }
        _ => Err(unsupported(&socket.name)),
    }
}
