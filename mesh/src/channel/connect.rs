//! Connecting to istiod.

use crate::limits;
use crate::tls;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::future::Future;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

/// The trust anchors for istiod's certificate.
#[derive(Debug, Clone)]
pub enum RootSource {
    /// A PEM file (ConfigMap `istio-ca-root-cert`); read again on each connect.
    File(PathBuf),
    /// PEM text.
    Pem(Arc<str>),
}

/// Where istiod is.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// `https://host:port`, or `host:port` for the same. `http://` only to a loopback address.
    pub address: String,
    /// Trust anchors; unused for `http://`.
    pub roots: RootSource,
    /// DNS name to expect in the server's certificate in place of the address's host (`ISTIOD_SAN`).
    pub alt_name: Option<String>,
}

impl ChannelOptions {
    /// Is the address one we would dial?
    pub fn check(&self) -> Result<(), ChannelError> {
        Target::parse(self).map(|_| ())
    }
}

/// Why there is no channel, or no credentials for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChannelError {
    /// Not a URL we can dial.
    #[error("control plane address {0:?} is neither https://host:port nor a loopback http://")]
    Address(String),
    /// The name to verify is no DNS name or IP.
    #[error("{0:?} is not a server name")]
    ServerName(String),
    /// A root or token file cannot be read.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// A root or token file is empty.
    #[error("{path} holds nothing usable", path = .0.display())]
    EmptyFile(PathBuf),
    /// A configured header cannot be sent. Its value is not shown.
    #[error("header {0:?} cannot be sent")]
    Header(String),
    /// The roots are no certificates.
    #[error("roots: {0}")]
    Roots(String),
    /// TCP, TLS or HTTP/2 failed.
    #[error("{0}")]
    Connect(String),
}

/// Connects now, so that a wrong address or root shows at once. The channel reconnects by itself later.
pub async fn connect(options: &ChannelOptions) -> Result<Channel, ChannelError> {
    let target = Target::parse(options)?;
    let connector = target.clone();
    let service = tower::service_fn(move |_: Uri| connector.clone().dial());
    target
        .endpoint()?
        .connect_with_connector(service)
        .await
        .map_err(|error| ChannelError::Connect(sources(&error)))
}

/// Connects when the first call is made.
pub fn connect_lazy(options: &ChannelOptions) -> Result<Channel, ChannelError> {
    let target = Target::parse(options)?;
    let connector = target.clone();
    let service = tower::service_fn(move |_: Uri| connector.clone().dial());
    Ok(target.endpoint()?.connect_with_connector_lazy(service))
}

/// A parsed address with what verifies it.
#[derive(Debug, Clone)]
struct Target {
    uri: Uri,
    host: String,
    port: u16,
    security: Option<(RootSource, ServerName<'static>)>,
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

type DialResult = Result<TokioIo<Box<dyn Io>>, io::Error>;

impl Target {
    fn parse(options: &ChannelOptions) -> Result<Self, ChannelError> {
        let error = || ChannelError::Address(options.address.clone());
        let text = &options.address;
        let url = if text.contains("://") { text.clone() } else { format!("https://{text}") };
        let uri: Uri = url.parse().map_err(|_| error())?;
        let host = uri.host().ok_or_else(error)?.trim_matches(['[', ']']).to_owned();
        let (default_port, secure) = match uri.scheme_str() {
            Some("https") => (443, true),
            Some("http") if is_loopback(&host) => (80, false),
            _ => return Err(error()),
        };
        let port = uri.port_u16().unwrap_or(default_port);
        let security = if secure {
            let name = options.alt_name.clone().unwrap_or_else(|| host.clone());
            let name = ServerName::try_from(name.clone()).map_err(|_| ChannelError::ServerName(name))?;
            Some((options.roots.clone(), name))
        } else {
            None
        };
        Ok(Self { uri, host, port, security })
    }

    fn endpoint(&self) -> Result<Endpoint, ChannelError> {
        let endpoint =
            Endpoint::new(self.uri.clone()).map_err(|_| ChannelError::Address(self.uri.to_string()))?;
        Ok(endpoint
            .connect_timeout(limits::CONTROL_CONNECT_TIMEOUT)
            .http2_keep_alive_interval(limits::CONTROL_KEEPALIVE_INTERVAL)
            .keep_alive_timeout(limits::CONTROL_KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true))
    }

    fn dial(self) -> Pin<Box<dyn Future<Output = DialResult> + Send>> {
        Box::pin(async move {
            // All addresses of the name are tried; istiod's service may have endpoints that are gone.
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tcp.set_nodelay(true)?;
            let Some((roots, name)) = self.security else {
                return Ok(TokioIo::new(Box::new(tcp) as Box<dyn Io>));
            };
            let config = tls::control_plane_client(roots.read().map_err(io::Error::other)?)
                .map_err(io::Error::other)?;
            let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
            Ok(TokioIo::new(Box::new(stream) as Box<dyn Io>))
        })
    }
}

impl RootSource {
    /// The certificates as they are now; at least one.
    pub fn read(&self) -> Result<Vec<CertificateDer<'static>>, ChannelError> {
        let (bytes, empty) = match self {
            Self::File(path) => {
                (read_bounded(path, limits::CREDENTIAL_FILE)?, ChannelError::EmptyFile(path.clone()))
            }
            Self::Pem(text) => {
                (text.as_bytes().to_vec(), ChannelError::Roots("no certificate in the text".into()))
            }
        };
        let roots = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ChannelError::Roots(error.to_string()))?;
        if roots.is_empty() { Err(empty) } else { Ok(roots) }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Reads a small file whole. Blocking: these are a few KiB on a memory file system, read once per connect or call.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ChannelError> {
    let error = |reason: String| ChannelError::File { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|e| error(e.to_string()))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| error(e.to_string()))?;
    if bytes.len() as u64 > limit { Err(error(format!("larger than {limit} bytes"))) } else { Ok(bytes) }
}

/// tonic says "transport error" and keeps the reason in the sources.
fn sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
