//! Role-based access control: AuthorizationPolicy, enforced.
//!
//! One filter is one [`check`]; a chain holds several (LOG, DENY, ALLOW) and the first denial ends the request. A matcher
//! that needs HTTP never matches on a TCP connection. Envoy: `extensions.filters.common.rbac`.

use crate::failure::Failure;
use crate::matching::view::{NetworkView, RequestView};
use crate::matching::{header, metadata, string, template};
use crate::model::matcher::StringMatcher;
use crate::model::metadata::{DynamicMetadata, MetadataValue};
use crate::model::rbac::{Permission, Principal, Rbac, RbacAction, RbacCounters, RbacPolicy, RbacRules};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What one RBAC filter says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub denied: Option<Denial>,
    /// What the dry-run rules would have done.
    pub shadow: Option<Shadow>,
    /// A LOG rule matched: the access log is hinted to keep this request.
    pub logged: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The DENY rule that matched; `None`: no ALLOW rule did.
    pub policy: Option<Arc<str>>,
}

impl Denial {
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure::rbac_denied(self.policy.as_deref())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    pub allowed: bool,
    /// The rule that matched.
    pub policy: Option<Arc<str>>,
}

impl Shadow {
    /// Leaves the decision where later filters and access logs look for it.
    pub fn tell(&self, filter: &str, prefix: &str, metadata: &mut DynamicMetadata) {
        let result = if self.allowed { "allowed" } else { "denied" };
        let key = |what: &str| format!("{prefix}{what}").into();
        let mut told = BTreeMap::from([(key("shadow_engine_result"), MetadataValue::String(result.into()))]);
        if let Some(policy) = &self.policy {
            told.insert(key("shadow_effective_policy_id"), MetadataValue::String(policy.clone()));
        }
        metadata.merge(filter, told);
    }
}

#[must_use]
pub fn check(rbac: &Rbac, request: &RequestView<'_>) -> Decision {
    evaluate(rbac, &Subject { connection: &request.connection, request: Some(request) })
}

#[must_use]
pub fn check_network(rbac: &Rbac, connection: &NetworkView<'_>) -> Decision {
    evaluate(rbac, &Subject { connection, request: None })
}

struct Subject<'a> {
    connection: &'a NetworkView<'a>,
    request: Option<&'a RequestView<'a>>,
}

fn evaluate(rbac: &Rbac, subject: &Subject<'_>) -> Decision {
    let decision = decide(rbac, subject);
    if let Some(counters) = rbac.counters.get() {
        count(rbac, &decision, counters);
    }
    decision
}

/// Envoy: only where there are rules of the kind; what LOG lets pass is allowed.
fn count(rbac: &Rbac, decision: &Decision, counters: &RbacCounters) {
    let enforced = rbac.rules.as_ref().map(|_| match decision.denied {
        None => &counters.allowed,
        Some(_) => &counters.denied,
    });
    let shadow = decision
        .shadow
        .as_ref()
        .map(|shadow| if shadow.allowed { &counters.shadow_allowed } else { &counters.shadow_denied });
    for counter in enforced.into_iter().chain(shadow) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn decide(rbac: &Rbac, subject: &Subject<'_>) -> Decision {
    let shadow = rbac.shadow.as_ref().map(|rules| {
        let matched = subject.first_match(rules);
        Shadow { allowed: allows(rules.action, matched), policy: matched.map(|policy| policy.name.clone()) }
    });
    let Some(rules) = &rbac.rules else { return Decision { shadow, ..Decision::default() } };
    let matched = subject.first_match(rules);
    let denied = (!allows(rules.action, matched))
        .then(|| Denial { policy: matched.map(|policy| policy.name.clone()) });
    Decision { denied, shadow, logged: rules.action == RbacAction::Log && matched.is_some() }
}

const fn allows(action: RbacAction, matched: Option<&RbacPolicy>) -> bool {
    match action {
        RbacAction::Allow => matched.is_some(),
        RbacAction::Deny => matched.is_none(),
        RbacAction::Log => true,
    }
}

impl Subject<'_> {
    fn first_match<'r>(&self, rules: &'r RbacRules) -> Option<&'r RbacPolicy> {
        rules.policies.iter().find(|policy| {
            policy.permissions.iter().any(|permission| self.permitted(permission))
                && policy.principals.iter().any(|principal| self.is(principal))
        })
    }

    fn permitted(&self, permission: &Permission) -> bool {
        let destination = self.connection.destination;
        match permission {
            Permission::Any => true,
            Permission::And(all) => all.iter().all(|permission| self.permitted(permission)),
            Permission::Or(any) => any.iter().any(|permission| self.permitted(permission)),
            Permission::Not(permission) => !self.permitted(permission),
            Permission::Header(matcher) => {
                self.request.is_some_and(|request| header::matches(matcher, request))
            }
            Permission::UrlPath(matcher) => self.url_path(matcher),
            Permission::UriTemplate(template) => {
                self.request.is_some_and(|request| template::matches(template, request.path.path()))
            }
            Permission::DestinationIp(net) => contains(net, destination.ip()),
            Permission::DestinationPort(port) => destination.port() == *port,
            Permission::DestinationPortRange { start, end } => (*start..*end).contains(&destination.port()),
            Permission::Metadata(matcher) => metadata::matches(matcher, self.connection.metadata),
            // Envoy: a connection without SNI has the empty name.
            Permission::RequestedServerName(matcher) => {
                string::matches(matcher, self.connection.sni.unwrap_or_default())
            }
        }
    }

    fn is(&self, principal: &Principal) -> bool {
        match principal {
            Principal::Any => true,
            Principal::And(all) => all.iter().all(|principal| self.is(principal)),
            Principal::Or(any) => any.iter().any(|principal| self.is(principal)),
            Principal::Not(principal) => !self.is(principal),
            Principal::Peer(matcher) => match (matcher, self.connection.peer) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(matcher), Some(peer)) => string::matches(matcher, peer),
            },
            // Differs from Envoy: the real client pod. Behind Envoy's internal listener this address is opaque, so that
            // `ipBlocks` never allow and `notIpBlocks` never exclude there.
            Principal::DirectRemoteIp(net) => contains(net, self.connection.source_ip),
            Principal::RemoteIp(net) => {
                contains(net, self.request.map_or(self.connection.source_ip, |request| request.remote_ip))
            }
            Principal::Header(matcher) => {
                self.request.is_some_and(|request| header::matches(matcher, request))
            }
            Principal::UrlPath(matcher) => self.url_path(matcher),
            Principal::Metadata(matcher) => metadata::matches(matcher, self.connection.metadata),
        }
    }

    fn url_path(&self, matcher: &StringMatcher) -> bool {
        self.request.is_some_and(|request| string::matches(matcher, request.path.path()))
    }
}

/// An IPv4 client on a dual-stack socket must not slip past an IPv4 block as `::ffff:a.b.c.d`.
fn contains(net: &IpNet, ip: IpAddr) -> bool {
    net.contains(&ip) || net.contains(&ip.to_canonical())
}

#[cfg(test)]
mod tests;
