//! Opening one connection to an endpoint: a tunnel over the worker's HBONE pool, or plain TCP for what is not in the mesh.

use super::destination::Destination;
use super::error::UpstreamError;
use mesh::hbone::{ConnectError, Dial, Pool, PoolKey, Tunnel, TunnelStream};
use mesh::identity::SpiffeId;
use mesh::net::Keepalive;
use mesh::tls::ExpectedPeer;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use waypoint_core::failure::ResetReason;
use waypoint_core::model::cluster::{Cluster, TcpKeepalive, Transport as ClusterTransport};
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
}

/// An open connection, and what logs say of it.
pub struct Connected {
    pub stream: UpstreamStream,
    pub local: Option<SocketAddr>,
}

pub enum UpstreamStream {
    Tunnel(TunnelStream),
    Tcp(TcpStream),
}

impl Transport {
    /// # Errors
    /// When there is no connection within the cluster's connect timeout.
    pub async fn connect(&self, to: &Destination, cluster: &Cluster) -> Result<Connected, UpstreamError> {
        if let ClusterTransport::Tls(_) = &cluster.transport {
            return Err(local("TLS origination is not supported".to_owned()));
        }
        let opening = async {
            match &to.address {
                EndpointAddress::Hbone { target, tunnel } => self.tunnel(to, *target, *tunnel).await,
                EndpointAddress::Direct { address, .. } => direct(*address, cluster).await,
                EndpointAddress::Host { name, port } => {
                    let addresses = tokio::net::lookup_host((&**name, *port)).await;
                    let address = addresses.ok().and_then(|mut found| found.next());
                    match address {
                        Some(address) => direct(address, cluster).await,
                        None => Err(local(format!("{name} does not resolve"))),
                    }
                }
                EndpointAddress::DoubleHbone { .. } => {
                    Err(local("tunnels through gateways of other networks are not supported".to_owned()))
                }
            }
        };
        let limit = if cluster.connect_timeout.is_zero() { Duration::MAX } else { cluster.connect_timeout };
        timeout(limit, opening).await.unwrap_or_else(|_| {
            let detail = format!("no connection within {limit:?}");
            Err(UpstreamError::connect(ResetReason::ConnectionTimeout, detail))
        })
    }

    async fn tunnel(
        &self,
        to: &Destination,
        target: SocketAddr,
        tunnel: SocketAddr,
    ) -> Result<Connected, UpstreamError> {
        let key = PoolKey {
            remote: tunnel,
            source: self.source.clone(),
            expected: to.expected(&self.trust_domains),
            source_ip: None,
            workload_uid: to.uid(),
        };
        let opened = self.hbone.connect(&key, &target.to_string(), ::http::HeaderMap::new()).await;
        let Tunnel { stream, connection_local_addr, .. } = opened.map_err(|error| tunnel_error(&error))?;
        Ok(Connected { stream: UpstreamStream::Tunnel(stream), local: Some(connection_local_addr) })
    }
}

async fn direct(address: SocketAddr, cluster: &Cluster) -> Result<Connected, UpstreamError> {
    let stream = TcpStream::connect(address).await.map_err(|error| remote(error.to_string()))?;
    let local = stream.local_addr().ok();
    let options = stream.set_nodelay(true).and_then(|()| match cluster.pool.tcp_keepalive {
        Some(settings) => mesh::net::set_keepalive(&stream, keepalive(settings)),
        None => mesh::net::set_keepalive(&stream, Keepalive::default()),
    });
    options.map_err(|error| remote(error.to_string()))?;
    Ok(Connected { stream: UpstreamStream::Tcp(stream), local })
}

fn keepalive(settings: TcpKeepalive) -> Keepalive {
    let default = Keepalive::default();
    Keepalive {
        idle: settings.time.unwrap_or(default.idle),
        interval: settings.interval.unwrap_or(default.interval),
        retries: settings.probes.unwrap_or(default.retries),
    }
}

fn tunnel_error(error: &ConnectError) -> UpstreamError {
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

fn local(detail: String) -> UpstreamError {
    UpstreamError::connect(ResetReason::LocalConnectionFailure, detail)
}

fn remote(detail: String) -> UpstreamError {
    UpstreamError::connect(ResetReason::RemoteConnectionFailure, detail)
}

impl UpstreamStream {
    /// Ends the connection so that the endpoint cannot take it for a clean end.
    pub fn reset(&mut self) {
        match self {
            Self::Tunnel(stream) => stream.reset(h2::Reason::CANCEL),
            // Closing with linger zero sends RST; on failure the kernel sends FIN, the best that is left.
            Self::Tcp(stream) => drop(socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))),
        }
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tunnel(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tunnel(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tunnel(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tunnel(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
