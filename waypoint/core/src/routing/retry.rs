//! Whether an attempt is repeated, and when. Envoy: `RetryStateImpl`.
//!
//! Two rules stand side by side. The route's policy says which outcomes are retried and how often; running out of it is
//! flag URX. Independent of it, an attempt of which no byte reached an application is repeated elsewhere, for any method.
//! Differs from Envoy: there a CONNECT refused by the destination's ztunnel ends the request. Such a retry is invisible
//! in the answer: when it fails too, the client and the log see the last failure as if it had been the only one.

use crate::balance::{Avoid, HostId};
use crate::dice::Dice;
use crate::failure::ResetReason;
use crate::limits::{RETRIES_MAX, UNREACHED_RETRIES_MAX};
use crate::matching::header;
use crate::model::route::{RetryOn, RetryPolicy};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// How one attempt ended, before any of its response went downstream.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// Response headers; with gRPC trailers-only answers the status is among them.
    Response {
        status: StatusCode,
        headers: &'a HeaderMap,
    },
    Reset {
        reason: ResetReason,
        /// Whether a byte of this request can have reached an application.
        reached_application: bool,
    },
    PerTryTimeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// This outcome is the answer.
    No,
    /// So it is, and it would have been retried: flag URX.
    LimitExceeded,
    /// Try again after this long, on another endpoint where there is one, if the retry breaker has room (else flag UO).
    Retry { after: Duration },
}

/// The retries of one request.
#[derive(Clone, Debug)]
pub struct RetryState {
    policy: Option<Arc<RetryPolicy>>,
    attempts: u32,
    by_policy: u32,
    unreached: u32,
}

impl RetryState {
    #[must_use]
    pub const fn new(policy: Option<Arc<RetryPolicy>>) -> Self {
        Self { policy, attempts: 1, by_policy: 0, unreached: 0 }
    }

    /// Attempts begun, the first included: `%UPSTREAM_REQUEST_ATTEMPT_COUNT%`, `x-envoy-attempt-count`.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether the route's policy has retried: the body of a final failure says so.
    #[must_use]
    pub const fn retried(&self) -> bool {
        self.by_policy > 0
    }

    /// Whether a further attempt is possible at all; when not, the request body need not be kept.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| self.by_policy < allowed(policy))
            || self.unreached < UNREACHED_RETRIES_MAX
    }

    /// Where the next attempt should not go, given the hosts of those before.
    #[must_use]
    pub fn avoid<'t>(&self, tried: &'t [HostId]) -> Avoid<'t> {
        let policy = self.policy.as_deref().filter(|_| self.by_policy > 0);
        // "Elsewhere" is the point of repeating what reached nobody; otherwise the policy says.
        let hosts = self.unreached > 0 || policy.is_none_or(|policy| policy.avoid_previous_hosts);
        Avoid { tried, hosts, priorities_every: policy.and_then(|policy| policy.previous_priorities) }
    }

    /// Judges an attempt; on `Retry` the next one counts as begun.
    pub fn decide(&mut self, outcome: &Outcome<'_>, dice: &mut Dice) -> RetryDecision {
        if let Some(policy) = self.policy.clone().filter(|policy| covers(policy, outcome)) {
            if self.by_policy >= allowed(&policy) {
                return RetryDecision::LimitExceeded;
            }
            let after = back_off(policy.back_off_base, policy.back_off_max, self.by_policy, dice);
            self.by_policy += 1;
            self.attempts += 1;
            return RetryDecision::Retry { after };
        }
        if never_reached(outcome) && self.unreached < UNREACHED_RETRIES_MAX {
            self.unreached += 1;
            self.attempts += 1;
            // At once: the next attempt goes to another endpoint, which has done nothing to be spared.
            return RetryDecision::Retry { after: Duration::ZERO };
        }
        RetryDecision::No
    }
}

fn allowed(policy: &RetryPolicy) -> u32 {
    policy.retries.min(RETRIES_MAX)
}

const fn never_reached(outcome: &Outcome<'_>) -> bool {
    // A full circuit breaker is our own refusal; trying again at once would only walk round it.
    matches!(outcome, Outcome::Reset { reason, reached_application: false } if !matches!(reason, ResetReason::Overflow))
}

/// Whether the policy names this outcome.
fn covers(policy: &RetryPolicy, outcome: &Outcome<'_>) -> bool {
    match outcome {
        Outcome::Response { status, headers } => covers_response(policy, *status, headers),
        Outcome::Reset { reason, reached_application } => {
            covers_reset(policy.on, *reason, *reached_application)
        }
        // Envoy: a per-try timeout is a local reset. Its 504 exists for the client only and no status list sees it.
        Outcome::PerTryTimeout => covers_reset(policy.on, ResetReason::LocalReset, true),
    }
}

fn covers_response(policy: &RetryPolicy, status: StatusCode, headers: &HeaderMap) -> bool {
    let on = |condition| policy.on.contains(condition);
    if headers.contains_key("x-envoy-ratelimited") {
        return on(RetryOn::ENVOY_RATELIMITED);
    }
    (on(RetryOn::SERVER_ERROR) && status.is_server_error())
        || (on(RetryOn::GATEWAY_ERROR) && matches!(status.as_u16(), 502..=504))
        || (on(RetryOn::RETRIABLE_4XX) && status == StatusCode::CONFLICT)
        || (on(RetryOn::RETRIABLE_STATUS_CODES) && policy.status_codes.contains(&status))
        || (on(RetryOn::RETRIABLE_HEADERS)
            && policy.retriable_headers.iter().any(|matcher| header::matches_headers(matcher, headers)))
        || grpc_condition(headers).is_some_and(on)
}

/// The condition a gRPC status stands for. Only the headers are looked at, hence only trailers-only answers: once a
/// message has gone downstream it is too late.
fn grpc_condition(headers: &HeaderMap) -> Option<RetryOn> {
    match headers.get("grpc-status")?.as_bytes() {
        b"1" => Some(RetryOn::GRPC_CANCELLED),
        b"4" => Some(RetryOn::GRPC_DEADLINE_EXCEEDED),
        b"8" => Some(RetryOn::GRPC_RESOURCE_EXHAUSTED),
        b"13" => Some(RetryOn::GRPC_INTERNAL),
        b"14" => Some(RetryOn::GRPC_UNAVAILABLE),
        _ => None,
    }
}

const fn covers_reset(on: RetryOn, reason: ResetReason, reached_application: bool) -> bool {
    if matches!(reason, ResetReason::Overflow) {
        return false;
    }
    // Envoy: `5xx` and `gateway-error` include every reset.
    on.contains(RetryOn::RESET)
        || on.contains(RetryOn::SERVER_ERROR)
        || on.contains(RetryOn::GATEWAY_ERROR)
        || (on.contains(RetryOn::CONNECT_FAILURE) && reason.is_connect_failure())
        || (on.contains(RetryOn::REFUSED_STREAM) && matches!(reason, ResetReason::RemoteRefusedStream))
        || (on.contains(RetryOn::RESET_BEFORE_REQUEST) && !reached_application)
}

/// Envoy: uniform over `[0, base * 2^n)`, at most `max`.
fn back_off(base: Duration, max: Duration, retries_before: u32, dice: &mut Dice) -> Duration {
    let window = base.saturating_mul(1_u32.checked_shl(retries_before).unwrap_or(u32::MAX)).min(max);
    Duration::from_micros(dice.below(u64::try_from(window.as_micros()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) mod sample;
