//! Why an attempt at an endpoint produced no answer. What client and log see of it is decided by the core.

use waypoint_core::failure::ResetReason;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError {
    pub reason: ResetReason,
    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`: what happened on the wire.
    pub transport: Option<String>,
    /// It is certain that the application saw nothing of the request.
    pub unsent: bool,
}

impl UpstreamError {
    /// No connection: refused, unreachable, not in time, not whom we expected.
    #[must_use]
    pub fn connect(reason: ResetReason, detail: String) -> Self {
        Self { reason, transport: Some(detail), unsent: true }
    }

    /// The destination's ztunnel answered the CONNECT with something else than 200, or reset it.
    /// Envoy: its inner connection stands already, so this is a termination, not a connect failure.
    #[must_use]
    pub fn tunnel(detail: String) -> Self {
        Self { reason: ResetReason::ConnectionTermination, transport: Some(detail), unsent: true }
    }

    /// The request was under way.
    #[must_use]
    pub fn reset(reason: ResetReason) -> Self {
        Self { reason, transport: None, unsent: reason == ResetReason::RemoteRefusedStream }
    }

    /// A circuit breaker is full.
    #[must_use]
    pub fn overflow() -> Self {
        Self { reason: ResetReason::Overflow, transport: None, unsent: true }
    }

    /// The part of it that belongs into the response code details: Envoy has none where its inner connection stood.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.transport.as_deref().filter(|_| self.reason.is_connect_failure())
    }
}
