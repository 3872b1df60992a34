//! Whom to ask before a request or connection goes on, with what, and what the answer may change.
//! Envoy: `extensions.filters.{http,network}.ext_authz.v3.ExtAuthz`; Istio: the action CUSTOM.

use super::grpc_service::GrpcTarget;
use super::matcher::{MetadataMatcher, StringMatcher};
use super::route::{ClusterName, Fraction, HeaderMutations};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// One filter. A network filter has the defaults wherever it has no such field.
#[derive(Clone, Debug)]
pub struct ExtAuthz {
    pub service: AuthzService,
    /// Of one check; `None` waits for ever. Envoy: 200 ms when unset.
    pub timeout: Option<Duration>,
    /// What an error of the service (not a denial) means: go on, or answer `status_on_error`.
    pub failure_mode_allow: bool,
    /// Tells upstream so with `x-envoy-auth-failure-mode-allowed: true`.
    pub failure_mode_allow_header_add: bool,
    pub status_on_error: StatusCode,
    pub body: Option<BufferSettings>,
    /// Routes again when the answer changed the request.
    pub clear_route_cache: bool,
    pub enabled: Fraction,
    /// Istio: whether the shadow rules of the RBAC filter before it matched.
    pub enabled_metadata: Option<MetadataMatcher>,
    /// A request the filter is not enabled for is refused instead of passed on.
    pub deny_at_disable: bool,
    pub headers: SentHeaders,
    /// Dynamic metadata the service gets to see, by filter name.
    pub metadata_namespaces: Vec<Arc<str>>,
    /// Whether metadata in the answer is kept.
    pub ingest_metadata: bool,
    pub include_tls_session: bool,
    /// Bytes of a denial's body that are passed on; 0 is all.
    pub max_denied_body_bytes: usize,
}

#[derive(Clone, Debug)]
pub enum AuthzService {
    /// `envoy.service.auth.v3.Authorization/Check`.
    Grpc(GrpcTarget),
    Http(Box<HttpAuthz>),
}

/// The request itself, without its body unless asked for, sent to an HTTP service.
#[derive(Clone, Debug)]
pub struct HttpAuthz {
    pub cluster: ClusterName,
    pub path: AuthzPath,
    pub headers_to_add: HeaderMutations,
    /// Headers of a 200 that replace those of the request …
    pub upstream: Vec<StringMatcher>,
    /// … or are added to them.
    pub upstream_append: Vec<StringMatcher>,
    /// Headers of a denial the client gets; `None`: all of them.
    pub client: Option<Vec<StringMatcher>>,
    /// Headers of a 200 the client gets with the response.
    pub client_on_success: Vec<StringMatcher>,
    /// Headers of any answer that become dynamic metadata.
    pub metadata: Vec<StringMatcher>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthzPath {
    /// Before the path of the request; empty changes nothing.
    Prefix(Box<str>),
    /// Instead of it.
    Override(Box<str>),
}

/// Which request headers the service gets to see.
#[derive(Clone, Debug, Default)]
pub struct SentHeaders {
    /// `None`: all of them.
    pub allowed: Option<Vec<StringMatcher>>,
    /// Wins over `allowed`.
    pub disallowed: Vec<StringMatcher>,
    /// Repeated headers and stray bytes are sent as they are, not joined and replaced.
    pub raw: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSettings {
    pub max_bytes: usize,
    /// A longer body is cut for the service; otherwise the request is refused with 413.
    pub allow_partial: bool,
    /// As bytes, not as text with what is no UTF-8 replaced.
    pub pack_as_bytes: bool,
}

/// What a route says about the filters above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtAuthzPerRoute {
    Disabled,
    Settings { context: Vec<(Box<str>, Box<str>)>, body: BodyOverride },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyOverride {
    #[default]
    AsFilter,
    Never,
    With(BufferSettings),
}
