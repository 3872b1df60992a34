//! One HTTP filter chain: connection manager settings, filters in istiod's order, routes.
//! Envoy: `extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`.

use super::Refusal;
use super::access_log::AccessLog;
use super::expression::Expression;
use super::ext_authz::ExtAuthz;
use super::global_rate_limit::GlobalRateLimit;
use super::jwt::JwtAuthn;
use super::rate_limit::LocalRateLimit;
use super::rbac::Rbac;
use super::route::RouteTable;
use super::tracing::Tracing;
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct HttpChain {
    pub stat_prefix: Arc<str>,
    /// A filter cannot be honoured: every request is refused, and the chain is kept for its access log alone.
    pub refusal: Option<Refusal>,
    /// `server:` of every response (transformation OVERWRITE), or `None` for pass-through.
    pub server: Option<HeaderValue>,
    pub path_normalization: PathNormalization,
    pub accept_http_10: bool,
    /// Whether a client's header case is kept towards an HTTP/1 upstream.
    pub preserve_header_case: bool,
    /// Header bytes of one request; more is 431. Envoy: 60 KiB.
    pub max_request_headers_bytes: u32,
    /// Header fields of one request; more is 431. Envoy: 100.
    pub max_request_headers_count: u32,
    /// No request active for this long closes the inner connection; `None` never does. Envoy: 1 h.
    pub idle_timeout: Option<Duration>,
    /// A stream without any byte for this long is 408/504 with flag SI; istiod sets none.
    pub stream_idle_timeout: Option<Duration>,
    /// The whole request must have arrived; istiod sets none.
    pub request_timeout: Option<Duration>,
    /// Lower-case upgrade types allowed, in practice `websocket`.
    pub upgrades: Vec<Arc<str>>,
    /// HTTP/2 clients may ask for them too, by extended CONNECT (RFC 8441). Envoy: `allow_connect`; istiod sets it not.
    pub allow_connect: bool,
    /// `false`: a client's x-request-id from outside the mesh is kept when present, generated when absent.
    pub generate_request_id: bool,
    pub forward_client_cert: ForwardClientCert,
    pub append_x_forwarded_port: bool,
    /// `x-envoy-attempt-count` towards upstream, `x-envoy-*` in responses: see `RouteTable`.
    pub filters: Vec<HttpFilter>,
    pub routes: Arc<RouteTable>,
    pub access_logs: Vec<Arc<AccessLog>>,
    pub tracing: Option<Arc<Tracing>>,
    /// Answers name their route's operation. Envoy: where `tracing` is set at all, a provider or not.
    pub names_operation: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardClientCert {
    #[default]
    Sanitize,
    /// `ALWAYS_FORWARD_ONLY`.
    AlwaysForward,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathNormalization {
    /// RFC 3986 normalisation (`normalize_path`).
    pub normalize: bool,
    pub merge_slashes: bool,
    pub escaped_slashes: EscapedSlashes,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EscapedSlashes {
    #[default]
    KeepUnchanged,
    /// 400 `path_normalization_failed`.
    Reject,
    /// 307 to the unescaped path.
    UnescapeAndRedirect,
    UnescapeAndForward,
}

/// The filters a waypoint honours, in the order they run. Everything else makes its chain a `Refusal`.
#[derive(Clone, Debug)]
pub enum HttpFilter {
    JwtAuthn(Arc<JwtAuthn>),
    Rbac(Arc<Rbac>),
    ExtAuthz(Arc<ExtAuthz>),
    LocalRateLimit(Arc<LocalRateLimit>),
    RateLimit(Arc<GlobalRateLimit>),
    /// Empty in the chain: its configuration is per route (`Route::cors`).
    Cors,
    /// Empty in the chain: its configuration is per route (`Route::fault`).
    Fault,
    GrpcStats,
    /// Browsers' gRPC, see `grpc::web`.
    GrpcWeb,
    /// Sets x-forwarded-client-cert to `By=<local>;URI=<peer>` (annotation `ambient.istio.io/xfcc-include-client-identity`).
    ClientIdentityXfcc,
    Stats(StatsFilter),
    /// Terminal; always last.
    Router {
        suppress_envoy_headers: bool,
    },
}

/// `istio.stats`: which metrics are wanted. Envoy: `stats.PluginConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatsFilter {
    pub disable_host_header_fallback: bool,
    /// Metric names (without `istio_`) that are dropped.
    pub dropped: Vec<Arc<str>>,
    /// In the order they were configured: the last that speaks of a metric's tag holds.
    pub tags: Vec<TagOverride>,
    /// Periodic flush of TCP counters; Envoy: 5 s.
    pub tcp_reporting_interval: Option<Duration>,
}

/// What becomes of one tag, of ours or a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagOverride {
    /// Without `istio_`; empty: of all.
    pub metric: Arc<str>,
    /// A label name Prometheus takes.
    pub tag: Arc<str>,
    /// `None` removes the tag.
    pub value: Option<Arc<Expression>>,
}
