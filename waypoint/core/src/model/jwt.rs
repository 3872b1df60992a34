//! Which tokens a chain wants, where it looks for them and what it does with their claims.
//! Envoy: `extensions.filters.http.jwt_authn.v3.JwtAuthentication`; Istio: RequestAuthentication.
//!
//! Keys are compiled when they arrive ([`super::jwks`]), never per request.

use super::jwks::Jwks;
use super::matcher::StringMatcher;
use super::route::{ClusterName, RouteMatch};
use http::HeaderName;
use std::sync::Arc;
use std::time::Duration;

/// One JWT filter.
#[derive(Clone, Debug, Default)]
pub struct JwtAuthn {
    /// In name order.
    pub providers: Vec<Arc<JwtProvider>>,
    /// The first that matches says what is required; none: nothing is.
    pub rules: Vec<JwtRule>,
    /// Browsers send no credentials with a preflight.
    pub bypass_cors_preflight: bool,
    /// The client learns the status only, not why.
    pub strip_failure_response: bool,
    /// Headers only this filter may set: removed from every request before anything else.
    pub reserved_headers: Vec<HeaderName>,
}

#[derive(Clone, Debug)]
pub struct JwtRule {
    pub matcher: RouteMatch,
    /// `None`: these requests need no token, and none is looked at.
    pub requirement: Option<JwtRequirement>,
}

#[derive(Clone, Debug)]
pub enum JwtRequirement {
    Provider {
        provider: Arc<JwtProvider>,
        /// Instead of the provider's own.
        audiences: Option<Audiences>,
    },
    Any {
        of: Vec<Self>,
        tolerates: Tolerance,
    },
    All(Vec<Self>),
    /// Tokens of any provider are verified wherever they are found.
    Anyone(Tolerance),
    /// An empty requirement: always satisfied.
    Nothing,
}

/// What passes besides a good token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tolerance {
    #[default]
    Nothing,
    /// No token at all; a bad one is still refused.
    Missing,
    MissingOrFailed,
}

#[derive(Debug)]
pub struct JwtProvider {
    pub name: Arc<str>,
    /// `None`: any issuer.
    pub issuer: Option<Box<str>>,
    pub audiences: Audiences,
    pub subjects: Option<StringMatcher>,
    pub require_expiration: bool,
    /// How far in the future `exp` may be; implies `require_expiration`.
    pub max_lifetime: Option<Duration>,
    /// For `exp` and `nbf`.
    pub clock_skew: Duration,
    pub keys: JwksSource,
    /// In the order Envoy collects them.
    pub locations: Vec<JwtLocation>,
    /// Whether the token stays in the request.
    pub forward: bool,
    pub payload_header: Option<PayloadHeader>,
    pub claim_headers: Vec<ClaimHeader>,
    /// Key under `envoy.filters.http.jwt_authn` for the claims; istiod: `payload`.
    pub payload_in_metadata: Option<Box<str>>,
    pub header_in_metadata: Option<Box<str>>,
    /// Claims that become lists in metadata, e.g. `scope`.
    pub space_delimited_claims: Vec<Box<str>>,
    /// Whether what the token says may lead to another route; istiod: always, for waypoints.
    pub clear_route_cache: bool,
}

/// Accepted audiences, without scheme and trailing slash; empty accepts all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audiences(pub Vec<Box<str>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtLocation {
    /// The token follows `prefix`.
    Header {
        name: HeaderName,
        prefix: Box<str>,
    },
    Parameter(Box<str>),
    Cookie(Box<str>),
}

/// The payload as it came, base64url.
#[derive(Clone, Debug)]
pub struct PayloadHeader {
    pub name: HeaderName,
    pub padded: bool,
}

#[derive(Clone, Debug)]
pub struct ClaimHeader {
    pub name: HeaderName,
    /// From the payload down to the claim.
    pub path: Box<[Box<str>]>,
}

#[derive(Clone, Debug)]
pub enum JwksSource {
    /// `None`: no usable key was configured, so no token can be verified.
    Local(Option<Arc<Jwks>>),
    Remote(Arc<RemoteJwks>),
}

/// Keys to fetch, and how; equal descriptions share what was fetched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteJwks {
    pub cluster: ClusterName,
    /// Host of the request; where it goes says the cluster.
    pub authority: Box<str>,
    /// Path and query.
    pub path: Box<str>,
    /// Of one attempt.
    pub timeout: Duration,
    /// Keys are fetched again after this.
    pub cache_duration: Duration,
    /// After a fetch that failed with all its retries.
    pub refetch_after_failure: Duration,
    pub retries: u32,
    pub back_off_base: Duration,
    pub back_off_max: Duration,
}
