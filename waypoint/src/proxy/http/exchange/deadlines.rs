//! The clocks of one request, as values: which of them runs out next, and what that means.
//!
//! Pure: `now` is an argument. Envoy: the router's and connection manager's timers of the same names.

use std::time::Duration;
use tokio::time::Instant;
use waypoint_core::failure::Failure;
use waypoint_core::model::http_chain::HttpChain;
use waypoint_core::routing::timeouts::Timeouts;

/// What ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// The route's timeout: all attempts together.
    Total,
    PerTry,
    /// The endpoint sent nothing for too long.
    PerTryIdle,
    /// Nothing in either direction.
    Idle,
    /// The request did not arrive in time.
    Request,
}

impl Expired {
    /// What the client gets while no response has begun.
    #[must_use]
    pub fn failure(self, request_complete: bool) -> Failure {
        match self {
            Self::Total => Failure::response_timeout(),
            Self::PerTry => Failure::per_try_timeout(),
            Self::PerTryIdle => Failure::per_try_idle_timeout(),
            Self::Idle => Failure::stream_idle_timeout(request_complete),
            Self::Request => Failure::request_timeout(),
        }
    }

    /// Whether it ends one attempt only.
    #[must_use]
    pub fn is_of_a_try(self) -> bool {
        matches!(self, Self::PerTry | Self::PerTryIdle)
    }
}

/// The total and the tries count from the end of the request, as Envoy counts them.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    total: Option<Duration>,
    per_try: Option<Duration>,
    per_try_idle: Option<Duration>,
    idle: Option<Duration>,
    total_at: Option<Instant>,
    per_try_at: Option<Instant>,
    per_try_idle_at: Option<Instant>,
    idle_at: Option<Instant>,
    request_at: Option<Instant>,
    /// When the request was complete.
    ended_at: Option<Instant>,
}

impl Deadlines {
    #[must_use]
    pub fn new(timeouts: &Timeouts, chain: &HttpChain, now: Instant) -> Self {
        let idle = timeouts.idle.or(chain.stream_idle_timeout).filter(|idle| !idle.is_zero());
        Self {
            total: timeouts.request,
            per_try: timeouts.per_try,
            per_try_idle: timeouts.per_try_idle,
            idle,
            total_at: None,
            per_try_at: None,
            per_try_idle_at: None,
            idle_at: idle.map(|idle| now + idle),
            request_at: chain.request_timeout.filter(|limit| !limit.is_zero()).map(|limit| now + limit),
            ended_at: None,
        }
    }

    /// The request is complete; later calls change nothing.
    pub fn request_ended(&mut self, now: Instant) {
        self.request_at = None;
        self.ended_at = self.ended_at.or(Some(now));
        self.total_at = self.total_at.or_else(|| Some(now + self.total?));
        self.per_try_at = self.per_try_at.or_else(|| Some(now + self.per_try?));
        self.per_try_idle_at = self.per_try_idle_at.or_else(|| Some(now + self.per_try_idle?));
    }

    pub fn next_try(&mut self) {
        self.per_try_at = None;
        self.per_try_idle_at = None;
    }

    /// A byte moved, `upstream`: from the endpoint.
    pub fn moved(&mut self, upstream: bool, now: Instant) {
        self.idle_at = self.idle.map(|idle| now + idle);
        if upstream {
            self.per_try_idle_at = self.per_try_idle.map(|idle| now + idle);
        }
    }

    /// The response began: a try is over once its head is there.
    pub fn responded(&mut self, now: Instant) {
        self.per_try = None;
        self.per_try_at = None;
        self.moved(true, now);
    }

    /// The next to run out, and when.
    #[must_use]
    pub fn next(&self) -> Option<(Instant, Expired)> {
        // In order of precedence where two run out together.
        let all = [
            (self.total_at, Expired::Total),
            (self.per_try_at, Expired::PerTry),
            (self.per_try_idle_at, Expired::PerTryIdle),
            (self.request_at, Expired::Request),
            (self.idle_at, Expired::Idle),
        ];
        all.into_iter().filter_map(|(at, what)| Some((at?, what))).min_by_key(|(at, _)| *at)
    }

    /// How long the endpoint has had the whole request.
    #[must_use]
    pub fn since_request(&self, now: Instant) -> Duration {
        self.ended_at.map_or(Duration::ZERO, |ended| now.saturating_duration_since(ended))
    }

    #[must_use]
    pub fn total_at(&self) -> Option<Instant> {
        self.total_at
    }
}

#[cfg(test)]
mod tests;
