//! A tunnel through the east-west gateway of another network: HBONE to the gateway, and in it HBONE to the endpoint
//! the gateway chose. istiod: listeners `inner_connect_originate` and `outer_connect_originate`.
//!
//! The gateway passes on bytes it cannot read. Whom it chose is not known here, so any identity of the mesh will do for
//! the inner end; the outer end is checked like every other.

use super::destination::Destination;
use super::error::UpstreamError;
use super::stream::RawStream;
use super::transport::{Connected, Transport, local, tunnel_error};
use http::{HeaderMap, HeaderValue};
use mesh::hbone::{ClientOptions, ConnectError, Connection, Tunnel};
use std::net::SocketAddr;
use std::sync::Arc;

pub(super) async fn connect(
    transport: &Transport,
    to: &Destination,
    gateway: SocketAddr,
    target: &str,
) -> Result<Connected<RawStream>, UpstreamError> {
    let key = transport.key(to, gateway);
    let mut outer = HeaderMap::new();
    outer.insert("x-istio-source", HeaderValue::from_static("waypoint"));
    let opened = transport.hbone.connect(&key, target, outer).await;
    let Tunnel { stream, connection_local_addr, .. } = opened.map_err(|error| tunnel_error(&error))?;
    let identity = transport.secrets.identity(&transport.source).await;
    let identity = identity.map_err(|error| tunnel_error(&ConnectError::Identity(error)))?;
    let config = identity.client_config(&transport.trust_domains);
    let inner = mesh::tls::connect(config, gateway.ip(), stream).await;
    let inner = inner.map_err(|error| tunnel_error(&ConnectError::Tls(Arc::new(error))))?;
    // A connection of its own for each: another one may end at another endpoint. Envoy: `max_requests_per_connection: 1`.
    let connection = Connection::open(inner, &ClientOptions::default()).await;
    let connection = connection.map_err(|error| tunnel_error(&error))?;
    let network =
        HeaderValue::from_str(&transport.network).map_err(|_| local("bad network name".to_owned()))?;
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-network", network);
    let (stream, _) = connection.connect(target, headers).await.map_err(|error| tunnel_error(&error))?;
    Ok(Connected { stream: RawStream::Tunnel(stream), local: Some(connection_local_addr) })
}
