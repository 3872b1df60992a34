//! Role-based access control as istiod compiles AuthorizationPolicy.
//! Envoy: `config.rbac.v3.RBAC`, `extensions.filters.{http,network}.rbac.v3.RBAC`.

use super::matcher::{HeaderMatcher, MetadataMatcher, StringMatcher};
use ipnet::IpNet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

/// One RBAC filter.
#[derive(Clone, Debug, Default)]
pub struct Rbac {
    /// Enforced rules; `None` lets everything pass (a filter with shadow rules only).
    pub rules: Option<RbacRules>,
    /// Dry-run rules: counted and logged, never enforced.
    pub shadow: Option<RbacRules>,
    pub shadow_stat_prefix: Arc<str>,
    pub rules_stat_prefix: Arc<str>,
    /// Of a network filter; an HTTP filter's statistics are its connection manager's.
    pub stat_prefix: Arc<str>,
    /// Unset until the filter is part of what is published.
    pub counters: OnceLock<RbacCounters>,
}

/// Decisions so far. Filters whose statistics have one name share them, as they do in Envoy.
#[derive(Clone, Debug, Default)]
pub struct RbacCounters {
    pub allowed: Arc<AtomicU64>,
    pub denied: Arc<AtomicU64>,
    pub shadow_allowed: Arc<AtomicU64>,
    pub shadow_denied: Arc<AtomicU64>,
}

/// A filter and what Envoy's statistics know its surroundings by.
#[derive(Clone, Copy, Debug)]
pub struct PlacedRbac<'a> {
    pub filter: &'a Rbac,
    /// `stat_prefix` of the connection manager around an HTTP filter.
    pub connection_manager: Option<&'a str>,
}

#[derive(Clone, Debug)]
pub struct RbacRules {
    pub action: RbacAction,
    /// By name, in name order (Envoy keeps a sorted map; the first match names the decision).
    pub policies: Vec<RbacPolicy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RbacAction {
    Allow,
    Deny,
    /// AUDIT: matches are logged, nothing is refused.
    Log,
}

#[derive(Clone, Debug)]
pub struct RbacPolicy {
    /// `ns[shop]-policy[allow-get]-rule[0]`.
    pub name: Arc<str>,
    /// Any of these …
    pub permissions: Vec<Permission>,
    /// … and any of these.
    pub principals: Vec<Principal>,
}

#[derive(Clone, Debug)]
pub enum Permission {
    Any,
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Header(HeaderMatcher),
    /// The path without query, after normalisation.
    UrlPath(StringMatcher),
    UriTemplate(Arc<UriTemplate>),
    DestinationIp(IpNet),
    /// The port of the service's VIP (the CONNECT target), not the pod's.
    DestinationPort(u16),
    /// `[start, end)`.
    DestinationPortRange {
        start: u16,
        end: u16,
    },
    Metadata(MetadataMatcher),
    RequestedServerName(StringMatcher),
}

#[derive(Clone, Debug)]
pub enum Principal {
    Any,
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    /// The peer's URI SAN: `filter_state{io.istio.peer_principal}` or `authenticated`. `None`: any authenticated peer.
    Peer(Option<StringMatcher>),
    /// `direct_remote_ip`: the client pod.
    DirectRemoteIp(IpNet),
    /// `remote_ip`: from x-forwarded-for, else the client pod.
    RemoteIp(IpNet),
    Header(HeaderMatcher),
    UrlPath(StringMatcher),
    Metadata(MetadataMatcher),
}

/// `uri_template`: `/a/{*}/b/{**}`. `*` is one non-empty segment, `**` any number of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriTemplate {
    pub segments: Vec<TemplateSegment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateSegment {
    Literal(Box<str>),
    /// `{*}` or `*` within `prefix…suffix` of one segment.
    One,
    /// `{**}` or `**`; Envoy allows it once, last.
    Many,
}
