//! Limits a rate limit service counts for all proxies together. Envoy: `extensions.filters.http.ratelimit.v3.RateLimit`.

use super::descriptor::{RateLimit, VirtualHostLimits};
use super::grpc_service::GrpcTarget;
use super::route::{Fraction, HeaderMutations};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// One filter.
#[derive(Clone, Debug)]
pub struct GlobalRateLimit {
    /// What routes know the filter by.
    pub name: Arc<str>,
    pub domain: Arc<str>,
    /// What makes descriptors; where this is empty the route's and its virtual host's do, of `stage`.
    pub rate_limits: Vec<RateLimit>,
    pub stage: u32,
    pub service: GrpcTarget,
    /// Of one call; `None` waits for ever. Envoy: 20 ms when unset.
    pub timeout: Option<Duration>,
    /// Requests the service is asked about …
    pub enabled: Fraction,
    /// … and those of them that are refused when it says so.
    pub enforced: Fraction,
    /// Requests that are refused when there is no answer.
    pub deny_on_error: Fraction,
    pub status: StatusCode,
    pub status_on_error: StatusCode,
    /// gRPC clients get `RESOURCE_EXHAUSTED`, not `UNAVAILABLE`.
    pub resource_exhausted: bool,
    /// Clients are told what is left.
    pub told: bool,
    /// A 429 says when to come again.
    pub retry_after: bool,
    /// A request over the limit is answered with `x-envoy-ratelimited`, so that proxies before us do not try again.
    pub says_limited: bool,
    /// Of the refusal.
    pub response_headers: Arc<HeaderMutations>,
    /// Where metadata in the answer is kept.
    pub metadata_namespace: Arc<str>,
}

/// What a route says to the filter. Envoy: `RateLimitPerRoute`.
#[derive(Clone, Debug)]
pub struct RateLimitPerRoute {
    pub virtual_host: VirtualHostLimits,
    /// Instead of the filter's and of what routes have.
    pub rate_limits: Vec<RateLimit>,
    pub domain: Option<Arc<str>>,
}
