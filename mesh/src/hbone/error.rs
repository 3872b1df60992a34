//! What can go wrong with a connection or a tunnel, split by what a caller does about it.

use crate::secrets::CaError;
use http::StatusCode;
use std::io;
use std::sync::Arc;

/// Why there is no tunnel. Cloneable, because everybody who waited for the same dial gets the same answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// We have no certificate.
    #[error("identity: {0}")]
    Identity(#[source] CaError),
    /// TCP.
    #[error("connect: {0}")]
    Dial(#[source] Arc<io::Error>),
    /// TCP, no answer in time. In a cluster this is most often a NetworkPolicy that does not admit port 15008.
    #[error("connect timed out")]
    DialTimeout,
    /// TLS: the peer is not whom we expect, or refuses us. With TLS 1.3 the latter shows only after our side of the handshake,
    /// so a fresh connection that ends before its first answer is counted here.
    #[error("tls: {0}")]
    Tls(#[source] Arc<io::Error>),
    /// HTTP/2 could not be set up.
    #[error("http2: {0}")]
    Handshake(#[source] Arc<h2::Error>),
    /// The CONNECT was answered, but not with 200.
    #[error("http status: {0}")]
    Refused(StatusCode),
    /// The stream or connection ended before an answer.
    #[error("reset before an answer: {0}")]
    Reset(#[source] Arc<h2::Error>),
    /// No answer to the CONNECT in time.
    #[error("no answer to CONNECT in time")]
    AnswerTimeout,
    /// The authority cannot be sent.
    #[error("{0:?} is no authority")]
    Authority(String),
}

/// Why a server's connection ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// HTTP/2 or the transport failed.
    #[error("http2: {0}")]
    Http2(#[from] h2::Error),
    /// The peer no longer answers PINGs.
    #[error("peer no longer answers PINGs")]
    KeepaliveTimeout,
    /// The peer did not finish the HTTP/2 preface in time.
    #[error("no HTTP/2 preface in time")]
    HandshakeTimeout,
}

/// An h2 error about a stream, as the bytes' reader or writer sees it.
pub(super) fn stream_error(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
