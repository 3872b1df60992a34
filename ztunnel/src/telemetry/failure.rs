//! Why a connection failed: one closed list, each with the flag operators filter by and a text that says what to check.

use crate::rbac::Denied;
use crate::select::{Refusal, Rejected};
use mesh::hbone::ConnectError;
use std::io;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("timed out waiting for workload {0} from xds")]
    OwnWorkload(String),
    #[error("attempted recursive call to ourselves")]
    SelfCall,
    #[error("original destination: {0}")]
    OriginalDestination(#[source] io::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Rejected(#[from] Rejected),
    #[error("{0:?} is no authority")]
    Authority(String),
    #[error("{0}")]
    Denied(#[from] Denied),
    #[error("connection closed due to policy change")]
    PolicyChanged,
    #[error("connection closed due to connection drain")]
    Drained,
    #[error("connection closed because the pod is gone")]
    PodGone,
    #[error("name {0}: {1}")]
    Resolve(String, String),
    #[error("connect: {0}")]
    Connect(#[source] io::Error),
    #[error("connect timed out")]
    ConnectTimeout,
    #[error("{0}")]
    Tunnel(#[from] ConnectError),
    #[error("connect timed out, maybe a NetworkPolicy is blocking HBONE port 15008")]
    TunnelTimeout,
    #[error("identity: {0}")]
    Identity(String),
    #[error("tls: {0}")]
    Tls(#[source] io::Error),
    #[error("http2: {0}")]
    Http2(String),
    #[error("answering the CONNECT: {0}")]
    Answer(String),
    #[error("receive: {0}")]
    Downstream(#[source] io::Error),
    #[error("upstream: {0}")]
    Upstream(#[source] io::Error),
}

/// ztunnel's flags; the strings are API (`response_flags` of every metric).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseFlag {
    None,
    Deny,
    Connect,
    TlsFailure,
    HandshakeFailure,
    NetworkPolicy,
    IdentityError,
}

impl ResponseFlag {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Deny => "DENY",
            Self::Connect => "CONNECT",
            Self::TlsFailure => "TLS_FAILURE",
            Self::HandshakeFailure => "H2_HANDSHAKE_FAILURE",
            Self::NetworkPolicy => "NETWORK_POLICY",
            Self::IdentityError => "IDENTITY_ERROR",
        }
    }
}

impl Failure {
    #[must_use]
    pub fn flag(&self) -> ResponseFlag {
        match self {
            Self::Denied(_) | Self::PolicyChanged => ResponseFlag::Deny,
            Self::TunnelTimeout | Self::Tunnel(ConnectError::DialTimeout) => ResponseFlag::NetworkPolicy,
            Self::Identity(_) | Self::Tunnel(ConnectError::Identity(_)) => ResponseFlag::IdentityError,
            Self::Tls(_) | Self::Tunnel(ConnectError::Tls(_)) => ResponseFlag::TlsFailure,
            Self::Http2(_) | Self::Tunnel(ConnectError::Handshake(_)) => ResponseFlag::HandshakeFailure,
            Self::Drained | Self::PodGone | Self::Downstream(_) | Self::Upstream(_) | Self::Answer(_) => {
                ResponseFlag::None
            }
            Self::OwnWorkload(_)
            | Self::SelfCall
            | Self::OriginalDestination(_)
            | Self::Refused(_)
            | Self::Rejected(_)
            | Self::Authority(_)
            | Self::Resolve(..)
            | Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Tunnel(_) => ResponseFlag::Connect,
        }
    }
}
