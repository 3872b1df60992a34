//! How many requests may pass in a time. Envoy: `extensions.filters.http.local_ratelimit.v3.LocalRateLimit`.

use super::route::{Fraction, HeaderMutations};
use http::StatusCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// One filter, or what a route has instead of it.
#[derive(Clone, Debug)]
pub struct LocalRateLimit {
    /// `None` limits nothing: the filter is there for routes to configure.
    pub bucket: Option<Bucket>,
    /// Requests that are counted at all …
    pub enabled: Fraction,
    /// … and those of them that are refused, not just marked, when there is no token.
    pub enforced: Fraction,
    pub status: StatusCode,
    /// gRPC clients get `RESOURCE_EXHAUSTED`, not `UNAVAILABLE`.
    pub resource_exhausted: bool,
    /// Of the refusal.
    pub response_headers: HeaderMutations,
    /// Of a request that is over the limit and passes all the same.
    pub request_headers_when_not_enforced: HeaderMutations,
}

#[derive(Clone, Debug)]
pub struct Bucket {
    pub rate: TokenRate,
    /// All workers take from it. It lives as long as the configuration says the same.
    pub tokens: Arc<Tokens>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenRate {
    /// The bucket holds so many, and is full at first.
    pub max: u32,
    pub per_fill: u32,
    pub fill_interval: Duration,
}

/// When the bucket is full again, in nanoseconds of the process's monotonic clock; `policy::rate_limit` counts in it.
/// The one thing in `model` that changes.
#[derive(Debug, Default)]
pub struct Tokens(pub AtomicU64);
