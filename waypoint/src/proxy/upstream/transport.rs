//! Opening one connection to an endpoint: a tunnel over the worker's HBONE pool, or plain TCP for what is not in the
//! mesh; in it what the cluster begins itself, the PROXY protocol and TLS.

use super::destination::Destination;
use super::error::UpstreamError;
use super::origination::TlsContexts;
use super::stream::{RawStream, UpstreamStream};
use super::{dial, double};
use mesh::hbone::{ConnectError, Dial, Pool, PoolKey, Tunnel};
use mesh::identity::SpiffeId;
use mesh::net::Keepalive;
use mesh::secrets::SecretStore;
use mesh::tls::ExpectedPeer;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use waypoint_core::failure::ResetReason;
use waypoint_core::model::cluster::{Cluster, Transport as ClusterTransport};
use waypoint_core::model::endpoint::EndpointAddress;

/// TCP below our tunnels: from the pod's own address.
#[derive(Clone, Copy, Debug, Default)]
pub struct PodDial;

impl Dial for PodDial {
    async fn dial(&self, remote: SocketAddr, source_ip: Option<IpAddr>) -> io::Result<TcpStream> {
        let socket = mesh::net::outbound_socket(remote, source_ip, None)?;
        let stream = socket.connect(remote).await?;
        stream.set_nodelay(true)?;
        mesh::net::set_keepalive(&stream, Keepalive::default())?;
        Ok(stream)
    }
}

/// How this worker reaches endpoints.
pub struct Transport {
    pub hbone: Pool<PodDial>,
    pub source: SpiffeId,
    /// Expected where WDS knows no identity.
    pub trust_domains: ExpectedPeer,
    pub secrets: SecretStore,
    pub tls: Arc<TlsContexts>,
    /// The network this waypoint is in; gateways of others are told.
    pub network: Arc<str>,
}

/// An open connection, and what logs say of it.
pub struct Connected<S = UpstreamStream> {
    pub stream: S,
    pub local: Option<SocketAddr>,
}

impl Transport {
    /// # Errors
    /// When there is no connection within the cluster's connect timeout.
    pub async fn connect(&self, to: &Destination, cluster: &Cluster) -> Result<Connected, UpstreamError> {
        let limit = if cluster.connect_timeout.is_zero() { Duration::MAX } else { cluster.connect_timeout };
        timeout(limit, self.open(to, cluster)).await.unwrap_or_else(|_| {
            let detail = format!("no connection within {limit:?}");
            Err(UpstreamError::connect(ResetReason::ConnectionTimeout, detail))
        })
    }

    async fn open(&self, to: &Destination, cluster: &Cluster) -> Result<Connected, UpstreamError> {
        let Connected { mut stream, local } = self.raw(to, cluster).await?;
        if let Some(header) = &to.proxy_header {
            stream.write_all(&header.encode()).await.map_err(|error| remote(error.to_string()))?;
        }
        let ClusterTransport::Tls(settings) = &cluster.transport else {
            return Ok(Connected { stream: UpstreamStream::Raw(stream), local });
        };
        let stream = self.tls.connect(settings, (to.host.as_ref(), to.peer_ip()), stream).await?;
        Ok(Connected { stream: UpstreamStream::Tls(Box::new(stream)), local })
    }

    async fn raw(&self, to: &Destination, cluster: &Cluster) -> Result<Connected<RawStream>, UpstreamError> {
        match &to.address {
            EndpointAddress::Hbone { target, tunnel } => self.tunnel(to, *target, *tunnel).await,
            EndpointAddress::DoubleHbone { gateway, target } => {
                double::connect(self, to, *gateway, target).await
            }
            EndpointAddress::Direct { address, additional } => {
                let stream = dial::connect(*address, additional, cluster.pool.tcp_keepalive).await;
                let stream = stream.map_err(|error| remote(error.to_string()))?;
                let local = stream.local_addr().ok();
                Ok(Connected { stream: RawStream::Tcp(stream), local })
            }
            EndpointAddress::Host { name, .. } => Err(local(format!("{name} has not been resolved"))),
        }
    }

    async fn tunnel(
        &self,
        to: &Destination,
        target: SocketAddr,
        tunnel: SocketAddr,
    ) -> Result<Connected<RawStream>, UpstreamError> {
        let key = self.key(to, tunnel);
        let opened = self.hbone.connect(&key, &target.to_string(), ::http::HeaderMap::new()).await;
        let Tunnel { stream, connection_local_addr, .. } = opened.map_err(|error| tunnel_error(&error))?;
        Ok(Connected { stream: RawStream::Tunnel(stream), local: Some(connection_local_addr) })
    }

    pub(super) fn key(&self, to: &Destination, remote: SocketAddr) -> PoolKey {
        PoolKey {
            remote,
            source: self.source.clone(),
            expected: to.expected(&self.trust_domains),
            source_ip: None,
            workload_uid: to.uid(),
        }
    }
}

pub(super) fn tunnel_error(error: &ConnectError) -> UpstreamError {
    let detail = error.to_string();
    match error {
        ConnectError::Refused(_) | ConnectError::Reset(_) => UpstreamError::tunnel(detail),
        ConnectError::DialTimeout | ConnectError::AnswerTimeout => {
            UpstreamError::connect(ResetReason::ConnectionTimeout, detail)
        }
        ConnectError::Identity(_) | ConnectError::Authority(_) => local(detail),
        ConnectError::Dial(_) | ConnectError::Tls(_) | ConnectError::Handshake(_) => remote(detail),
    }
}

pub(super) fn local(detail: String) -> UpstreamError {
    UpstreamError::connect(ResetReason::LocalConnectionFailure, detail)
}

fn remote(detail: String) -> UpstreamError {
    UpstreamError::connect(ResetReason::RemoteConnectionFailure, detail)
}
