//! How many requests may pass in a time, counted here. Envoy: `extensions.filters.http.local_ratelimit.v3.LocalRateLimit`.

use super::descriptor::{RateLimit, VirtualHostLimits};
use super::global_rate_limit::RateLimitPerRoute;
use super::route::{Fraction, HeaderMutations};
use http::StatusCode;
use lru::LruCache;
use std::hash::RandomState;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One filter, or what a route has instead of it.
#[derive(Clone, Debug)]
pub struct LocalRateLimit {
    /// What routes know the filter by.
    pub name: Arc<str>,
    /// `None` limits nothing: the filter is there for routes to configure.
    pub bucket: Option<Bucket>,
    /// Buckets of their own for some descriptors.
    pub descriptors: Vec<LocalDescriptor>,
    /// A request that matched a descriptor is counted by `bucket`, too.
    pub always_consume_default: bool,
    /// What makes descriptors; where this is empty the route's and its virtual host's do, of `stage`.
    pub rate_limits: Vec<RateLimit>,
    pub stage: u32,
    pub virtual_host: VirtualHostLimits,
    /// Each connection has buckets of its own.
    pub per_connection: bool,
    /// Requests that are counted at all …
    pub enabled: Fraction,
    /// … and those of them that are refused, not just marked, when there is no token.
    pub enforced: Fraction,
    pub status: StatusCode,
    /// gRPC clients get `RESOURCE_EXHAUSTED`, not `UNAVAILABLE`.
    pub resource_exhausted: bool,
    /// Clients are told what is left.
    pub told: bool,
    /// A 429 says when to come again.
    pub retry_after: bool,
    /// Of the refusal.
    pub response_headers: Arc<HeaderMutations>,
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
#[derive(Debug, Default)]
pub struct Tokens(pub AtomicU64);

/// Counts the requests with exactly these entries.
#[derive(Clone, Debug)]
pub struct LocalDescriptor {
    /// Key and value; `None` is any value.
    pub entries: Vec<(Box<str>, Option<Box<str>>)>,
    pub rate: TokenRate,
    pub tokens: DescriptorTokens,
    /// Counts, but refuses nobody.
    pub shadow: bool,
}

#[derive(Clone, Debug)]
pub enum DescriptorTokens {
    One(Arc<Tokens>),
    /// A bucket for each combination of values clients come with.
    PerValues(Arc<PerValues>),
}

/// The combinations seen last; a forgotten one starts with a full bucket. This and [`Tokens`] are all in `model` that changes.
#[derive(Debug)]
pub struct PerValues {
    pub seen: Mutex<LruCache<ValuesDigest, Arc<Tokens>>>,
    /// What digests are made with; nobody outside can find two combinations with the same.
    pub keys: [RandomState; 2],
}

/// Of the values of all entries: clients choose how long those are.
pub type ValuesDigest = [u64; 2];

impl PerValues {
    #[must_use]
    pub fn new(max: NonZeroUsize) -> Self {
        Self { seen: Mutex::new(LruCache::new(max)), keys: Default::default() }
    }
}

/// What a route says to the limit filters before it, by their names, and what its requests are counted by.
#[derive(Clone, Debug, Default)]
pub struct RouteLimits {
    /// Instead of the filter's own.
    pub local: Vec<(Arc<str>, Arc<LocalRateLimit>)>,
    pub global: Vec<(Arc<str>, Arc<RateLimitPerRoute>)>,
    pub rate_limits: Vec<RateLimit>,
    /// Of the virtual host.
    pub virtual_host: Arc<[RateLimit]>,
    /// Whatever the filters say. Envoy: `include_vh_rate_limits`.
    pub include_virtual_host: bool,
}

/// What a route has for the filter of this name.
#[must_use]
pub fn named<'a, T>(list: &'a [(Arc<str>, Arc<T>)], name: &str) -> Option<&'a Arc<T>> {
    list.iter().find(|(of, _)| **of == *name).map(|(_, config)| config)
}
