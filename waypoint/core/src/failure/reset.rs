//! Why an upstream attempt ended without a response, with the words Envoy uses for it.
//! Envoy: `Http::StreamResetReason`, `Http::Utility::resetReasonToString`.

use super::{Failure, ResponseFlag, ResponseFlags};
use http::StatusCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResetReason {
    /// The connection ended under the request.
    ConnectionTermination,
    RemoteConnectionFailure,
    /// We could not even try: no local port, no descriptor.
    LocalConnectionFailure,
    ConnectionTimeout,
    /// RST_STREAM from the upstream.
    RemoteReset,
    /// RST_STREAM(REFUSED_STREAM), or a stream above GOAWAY's last id: not processed, by the protocol's promise.
    RemoteRefusedStream,
    LocalReset,
    /// A circuit breaker was full.
    Overflow,
    /// The upstream's bytes are no HTTP.
    ProtocolError,
}

impl ResetReason {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionTermination => "connection termination",
            Self::RemoteConnectionFailure => "remote connection failure",
            Self::LocalConnectionFailure => "local connection failure",
            Self::ConnectionTimeout => "connection timeout",
            Self::RemoteReset => "remote reset",
            Self::RemoteRefusedStream => "remote refused stream reset",
            Self::LocalReset => "local reset",
            Self::Overflow => "overflow",
            Self::ProtocolError => "protocol error",
        }
    }

    #[must_use]
    pub const fn flag(self) -> ResponseFlag {
        match self {
            Self::ConnectionTermination => ResponseFlag::UC,
            Self::RemoteConnectionFailure | Self::LocalConnectionFailure | Self::ConnectionTimeout => {
                ResponseFlag::UF
            }
            Self::RemoteReset | Self::RemoteRefusedStream => ResponseFlag::UR,
            Self::LocalReset => ResponseFlag::LR,
            Self::Overflow => ResponseFlag::UO,
            Self::ProtocolError => ResponseFlag::UPE,
        }
    }

    #[must_use]
    pub const fn is_connect_failure(self) -> bool {
        matches!(self, Self::RemoteConnectionFailure | Self::LocalConnectionFailure | Self::ConnectionTimeout)
    }
}

/// What surrounds a reset when it becomes the client's answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResetContext<'a> {
    /// The route's retry policy gave out; adds flag URX.
    pub retries_exhausted: bool,
    /// Retries were made before: the body says so.
    pub retried: bool,
    /// The transport's own words. They go to the log only: a client learns nothing of our TLS and sockets.
    pub transport: Option<&'a str>,
}

impl Failure {
    /// The last attempt was reset before a response began.
    #[must_use]
    pub fn reset(reason: ResetReason, context: &ResetContext<'_>) -> Self {
        let status = match reason {
            ResetReason::ProtocolError => StatusCode::BAD_GATEWAY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut flags = ResponseFlags::of(reason.flag());
        if context.retries_exhausted {
            flags = flags.with(ResponseFlag::URX);
        }
        let separator = if context.transport.is_some() { "|" } else { "" };
        let transport = context.transport.unwrap_or_default();
        let details =
            format!("upstream_reset_before_response_started{{{}{separator}{transport}}}", reason.as_str());
        let history = if context.retried { "retried and the latest " } else { "" };
        let body = format!(
            "upstream connect error or disconnect/reset before headers. {history}reset reason: {}",
            reason.as_str()
        );
        Self {
            status,
            flags,
            details: details.replace(char::is_whitespace, "_").into(),
            body: body.into(),
            grpc_status: None,
        }
    }
}
