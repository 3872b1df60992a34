//! Routes: what a request may match and where it then goes.
//! Envoy: `config.route.v3.{RouteConfiguration, VirtualHost, Route, RouteAction, RetryPolicy}`.

use super::Refusal;
use super::ext_authz::ExtAuthzPerRoute;
use super::matcher::{HeaderMatcher, MetadataMatcher, QueryMatcher, StringMatcher};
use super::rate_limit::RouteLimits;
use super::routes::Routes;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use regex::bytes::Regex;
use std::sync::Arc;
use std::time::Duration;

pub type ClusterName = Arc<str>;

#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    pub name: Arc<str>,
    /// In configuration order; istiod sends exactly one.
    pub virtual_hosts: Vec<VirtualHost>,
}

#[derive(Clone, Debug, Default)]
pub struct VirtualHost {
    pub name: Arc<str>,
    pub domains: Vec<Domain>,
    /// First match wins.
    pub routes: Routes,
    /// Towards upstream: `x-envoy-attempt-count`.
    pub include_request_attempt_count: bool,
}

/// Host patterns; compared case-insensitively, the port included as Envoy does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    Any,
    Exact(Box<str>),
    /// `*.example.com`, kept as `.example.com`.
    Suffix(Box<str>),
    /// `example.*`, kept as `example.`.
    Prefix(Box<str>),
}

#[derive(Clone, Debug)]
pub struct Route {
    /// `%ROUTE_NAME%`.
    pub name: Arc<str>,
    pub matcher: RouteMatch,
    pub action: RouteAction,
    pub request_headers: HeaderMutations,
    pub response_headers: HeaderMutations,
    pub fault: Option<Arc<Fault>>,
    pub cors: Option<Arc<Cors>>,
    pub ext_authz: Option<Arc<ExtAuthzPerRoute>>,
    pub limits: RouteLimits,
    /// Span name and `x-envoy-decorator-operation`.
    pub decorator: Option<HeaderValue>,
    /// The Istio object this route came from (`metadata.filter_metadata.istio.config`): the answer to "why routed so".
    pub istio_config: Option<Arc<str>>,
    /// Something in this route cannot be honoured: a request that matches it is refused.
    pub refusal: Option<Refusal>,
}

#[derive(Clone, Debug)]
pub struct RouteMatch {
    pub path: PathMatch,
    pub headers: Vec<HeaderMatcher>,
    pub query: Vec<QueryMatcher>,
    pub metadata: Vec<MetadataMatcher>,
    /// Only gRPC requests (`application/grpc*`).
    pub grpc: bool,
}

#[derive(Clone, Debug)]
pub enum PathMatch {
    /// `prefix: /`.
    Any,
    Exact {
        path: Box<str>,
        ignore_case: bool,
    },
    Prefix {
        prefix: Box<str>,
        ignore_case: bool,
    },
    /// `path_separated_prefix`: `/a` matches `/a`, `/a/…`, not `/ab`.
    SegmentPrefix {
        prefix: Box<str>,
        ignore_case: bool,
    },
    /// Full match on the path without query.
    Regex(Regex),
}

#[derive(Clone, Debug)]
pub enum RouteAction {
    Forward(Box<Forward>),
    Redirect(Box<Redirect>),
    DirectResponse { status: StatusCode, body: Bytes },
}

#[derive(Clone, Debug)]
pub struct Forward {
    pub clusters: ClusterChoice,
    /// Whole request; `None` never times out (istiod's 0s).
    pub timeout: Option<Duration>,
    /// `max_grpc_timeout`: `Some(ZERO)` takes the client's `grpc-timeout` unlimited; `None` ignores that header.
    pub max_grpc_timeout: Option<Duration>,
    pub idle_timeout: Option<Duration>,
    pub retry: Option<Arc<RetryPolicy>>,
    pub rewrite: Option<PathRewrite>,
    pub host_rewrite: Option<HostRewrite>,
    /// Adds the original host as `x-forwarded-host` when the host is rewritten.
    pub append_x_forwarded_host: bool,
    pub mirrors: Vec<Mirror>,
    pub hash: Vec<HashPolicy>,
    /// Answer when the chosen cluster does not exist. Envoy: 503; Gateway API routes: 500.
    pub cluster_not_found: StatusCode,
    /// Route-level upgrade overrides: (lower-case type, enabled).
    pub upgrades: Vec<(Arc<str>, bool)>,
}

#[derive(Clone, Debug)]
pub enum ClusterChoice {
    Single(ClusterName),
    /// Weights sum to `total` > 0.
    Weighted {
        clusters: Vec<WeightedCluster>,
        total: u32,
    },
    /// The cluster named by this request header.
    Header(HeaderName),
}

#[derive(Clone, Debug)]
pub struct WeightedCluster {
    pub name: ClusterName,
    pub weight: u32,
    pub request_headers: HeaderMutations,
    pub response_headers: HeaderMutations,
    pub host_rewrite: Option<HeaderValue>,
}

#[derive(Clone, Debug)]
pub enum PathRewrite {
    /// Replaces the matched prefix or, for an exact match, the whole path.
    Prefix(Box<str>),
    /// Replaces the whole path, the query is kept (`path_rewrite` of redirects and full-path rewrites).
    Full(Box<str>),
    /// On the path without query; `substitution` with `${1}`-style groups.
    Regex { pattern: Regex, substitution: Box<str> },
}

#[derive(Clone, Debug)]
pub enum HostRewrite {
    Literal(HeaderValue),
    /// The upstream host name of a DNS cluster.
    Auto,
    Header(HeaderName),
}

#[derive(Clone, Debug)]
pub struct Redirect {
    pub status: StatusCode,
    pub scheme: Option<Box<str>>,
    pub host: Option<Box<str>>,
    pub port: Option<u16>,
    pub path: Option<PathRewrite>,
    pub strip_query: bool,
    pub https: bool,
}

#[derive(Clone, Debug, Default)]
pub struct HeaderMutations {
    pub remove: Vec<HeaderName>,
    pub add: Vec<HeaderAdd>,
}

impl HeaderMutations {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}

#[derive(Clone, Debug)]
pub struct HeaderAdd {
    pub name: HeaderName,
    pub value: HeaderText,
    pub action: HeaderAppendAction,
}

/// A header value: literal, or with `%…%` operators, parsed once.
#[derive(Clone, Debug)]
pub enum HeaderText {
    Literal(HeaderValue),
    Format(Arc<super::access_log::Format>),
}

impl HeaderText {
    #[must_use]
    pub fn format(&self) -> Option<&super::access_log::Format> {
        match self {
            Self::Literal(_) => None,
            Self::Format(format) => Some(format),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderAppendAction {
    AppendIfExistsOrAdd,
    AddIfAbsent,
    OverwriteIfExistsOrAdd,
    OverwriteIfExists,
}

#[derive(Clone, Debug)]
pub struct RetryPolicy {
    pub on: RetryOn,
    /// Retries, not attempts. Bounded by `limits::RETRIES_MAX`.
    pub retries: u32,
    pub per_try_timeout: Option<Duration>,
    pub per_try_idle_timeout: Option<Duration>,
    pub status_codes: Vec<StatusCode>,
    pub retriable_headers: Vec<HeaderMatcher>,
    pub back_off_base: Duration,
    pub back_off_max: Duration,
    /// `previous_hosts`: a retry avoids hosts already tried.
    pub avoid_previous_hosts: bool,
    /// Re-picks Envoy makes before it tries the same host again. Ours looks at every host instead.
    pub host_selection_attempts: u32,
    /// `previous_priorities` update frequency (`retryRemoteLocalities`).
    pub previous_priorities: Option<u32>,
}

/// `retry_on`, one bit per condition of Envoy's vocabulary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn(pub u32);

impl RetryOn {
    pub const SERVER_ERROR: Self = Self(1); // 5xx
    pub const GATEWAY_ERROR: Self = Self(1 << 1);
    pub const RESET: Self = Self(1 << 2);
    pub const RESET_BEFORE_REQUEST: Self = Self(1 << 3);
    pub const CONNECT_FAILURE: Self = Self(1 << 4);
    pub const ENVOY_RATELIMITED: Self = Self(1 << 5);
    pub const RETRIABLE_4XX: Self = Self(1 << 6);
    pub const REFUSED_STREAM: Self = Self(1 << 7);
    pub const RETRIABLE_STATUS_CODES: Self = Self(1 << 8);
    pub const RETRIABLE_HEADERS: Self = Self(1 << 9);
    pub const HTTP3_POST_CONNECT_FAILURE: Self = Self(1 << 10);
    pub const GRPC_CANCELLED: Self = Self(1 << 11);
    pub const GRPC_DEADLINE_EXCEEDED: Self = Self(1 << 12);
    pub const GRPC_INTERNAL: Self = Self(1 << 13);
    pub const GRPC_RESOURCE_EXHAUSTED: Self = Self(1 << 14);
    pub const GRPC_UNAVAILABLE: Self = Self(1 << 15);

    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// `numerator` in `denominator`, as Envoy's FractionalPercent (100, 10 000 or 1 000 000).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    pub numerator: u32,
    pub denominator: u32,
}

#[derive(Clone, Debug)]
pub struct Mirror {
    pub cluster: ClusterName,
    pub fraction: Fraction,
    /// Envoy appends `-shadow` to Host unless disabled; istiod disables it.
    pub append_shadow_suffix: bool,
}

#[derive(Clone, Debug)]
pub enum HashPolicy {
    Header {
        name: HeaderName,
        terminal: bool,
    },
    /// `ttl: Some` generates the cookie when it is absent.
    Cookie {
        name: Box<str>,
        ttl: Option<Duration>,
        path: Box<str>,
        /// Further attributes as they stand in `set-cookie`: `; SameSite=Lax; Secure`, or nothing.
        attributes: Box<str>,
        terminal: bool,
    },
    SourceIp {
        terminal: bool,
    },
    Query {
        name: Box<str>,
        terminal: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub delay: Option<(Duration, Fraction)>,
    pub abort: Option<(FaultAbort, Fraction)>,
    /// Only requests that match these are faulted.
    pub headers: Vec<HeaderMatcher>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultAbort {
    Http(StatusCode),
    Grpc(u32),
}

#[derive(Clone, Debug)]
pub struct Cors {
    pub allow_origins: Vec<StringMatcher>,
    /// Header values ready to send; empty optional means the header is not sent.
    pub allow_methods: Option<HeaderValue>,
    pub allow_headers: Option<HeaderValue>,
    pub expose_headers: Option<HeaderValue>,
    pub max_age: Option<HeaderValue>,
    pub allow_credentials: bool,
    /// `forward_not_matching_preflights`; Envoy: true when unset.
    pub forward_not_matching_preflights: bool,
}
