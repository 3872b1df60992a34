//! The two handshakes, each with its deadline.

use crate::identity::SpiffeId;
use crate::limits;
use crate::tls::peer_identity;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Server side: finishes the handshake and tells who the peer is.
pub async fn accept<I>(config: Arc<ServerConfig>, io: I) -> io::Result<(server::TlsStream<I>, SpiffeId)>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let stream = timeout(limits::HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(io)).await??;
    let session = stream.get_ref().1;
    let identity = peer_identity(session).ok_or_else(|| refused("the peer showed no SPIFFE identity"))?;
    // A resumed session skips the certificate verifier; its ticket may outlive the certificate it stands for.
    if !session
        .peer_certificates()
        .and_then(<[_]>::first)
        .is_some_and(|leaf| is_current(leaf, SystemTime::now()))
    {
        return Err(refused("the peer's certificate expired"));
    }
    Ok((stream, identity))
}

/// Client side. There is no SNI and no name to check; `remote` only keys session tickets.
///
/// A TLS 1.3 client may see success before the server has judged its certificate: an EOF or alert before the first answer
/// is still a refused handshake.
pub async fn connect<I>(config: Arc<ClientConfig>, remote: IpAddr, io: I) -> io::Result<client::TlsStream<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::IpAddress(remote.into());
    timeout(limits::HANDSHAKE_TIMEOUT, TlsConnector::from(config).connect(name, io)).await?
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

fn is_current(leaf: &CertificateDer<'_>, now: SystemTime) -> bool {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    X509Certificate::from_der(leaf).is_ok_and(|(_, leaf)| {
        u64::try_from(leaf.validity().not_after.timestamp()).is_ok_and(|end| seconds < end)
    })
}
