//! An authorization policy, L4 part. Spec: `istio.security.Authorization`.
//!
//! Invariant: a predicate we cannot read is kept as such ([`Match::unreadable`]), never dropped: a match with a predicate
//! less would match more.

use crate::state::address::{Invalid, cidr, port};
use ipnet::IpNet;
use std::sync::Arc;
use xds_client::proto::authorization as proto;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `namespace/name`.
    pub key: Arc<str>,
    pub name: Arc<str>,
    pub namespace: Arc<str>,
    pub scope: Scope,
    pub action: Action,
    /// Only logged.
    pub dry_run: bool,
    /// Any rule, of which every clause, of which any match.
    pub rules: Vec<Vec<Vec<Match>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Global,
    Namespace,
    /// Only for the workloads that name it.
    WorkloadSelector,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Allow,
    Deny,
}

/// Every predicate that is not empty has to hold; one without any predicate never matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    pub namespaces: Predicate<StringMatch>,
    pub service_accounts: Predicate<ServiceAccount>,
    pub principals: Predicate<StringMatch>,
    pub source_ips: Predicate<IpNet>,
    pub destination_ips: Predicate<IpNet>,
    pub destination_ports: Predicate<u16>,
    /// Holds something we cannot read: a DENY with it matches, an ALLOW with it does not.
    pub unreadable: bool,
}

/// Values of which one has to match, and values none of which may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predicate<T> {
    pub any: Vec<T>,
    pub none: Vec<T>,
}

impl<T> Default for Predicate<T> {
    fn default() -> Self {
        Self { any: Vec::new(), none: Vec::new() }
    }
}

impl<T> Predicate<T> {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.none.is_empty()
    }

    /// Whether the predicate holds, where `hit` says if one of its values matches.
    pub fn holds(&self, hit: impl Fn(&T) -> bool) -> bool {
        (self.any.is_empty() || self.any.iter().any(&hit)) && !self.none.iter().any(&hit)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringMatch {
    Exact(Arc<str>),
    Prefix(Arc<str>),
    Suffix(Arc<str>),
    Presence,
}

impl StringMatch {
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::Presence => true,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Match {
    /// Without any predicate; such a match never matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
            && self.service_accounts.is_empty()
            && self.principals.is_empty()
            && self.source_ips.is_empty()
            && self.destination_ips.is_empty()
            && self.destination_ports.is_empty()
            && !self.unreadable
    }
}

impl TryFrom<&proto::Authorization> for Policy {
    type Error = Invalid;

    fn try_from(policy: &proto::Authorization) -> Result<Self, Invalid> {
        let scope = match proto::Scope::try_from(policy.scope) {
            Ok(proto::Scope::Global) => Scope::Global,
            Ok(proto::Scope::Namespace) => Scope::Namespace,
            Ok(proto::Scope::WorkloadSelector) => Scope::WorkloadSelector,
            Err(_) => return Err(Invalid::Enum { field: "scope", value: policy.scope }),
        };
        let action = match proto::Action::try_from(policy.action) {
            Ok(proto::Action::Allow) => Action::Allow,
            Ok(proto::Action::Deny) => Action::Deny,
            Err(_) => return Err(Invalid::Enum { field: "action", value: policy.action }),
        };
        let clause = |rule: &proto::Rules| rule.matches.iter().map(read).collect();
        let rule = |group: &proto::Group| group.rules.iter().map(clause).collect();
        Ok(Self {
            key: format!("{}/{}", policy.namespace, policy.name).into(),
            name: policy.name.as_str().into(),
            namespace: policy.namespace.as_str().into(),
            scope,
            action,
            dry_run: policy.dry_run,
            rules: policy.groups.iter().map(rule).collect(),
        })
    }
}

fn read(proto: &proto::Match) -> Match {
    let mut unreadable = !proto.extensions.is_empty();
    let mut strings = |any: &[_], none: &[_]| predicate(any, none, string_match, &mut unreadable);
    let namespaces = strings(&proto.namespaces, &proto.not_namespaces);
    let principals = strings(&proto.principals, &proto.not_principals);
    let mut ips = |any: &[_], none: &[_]| predicate(any, none, range, &mut unreadable);
    let source_ips = ips(&proto.source_ips, &proto.not_source_ips);
    let destination_ips = ips(&proto.destination_ips, &proto.not_destination_ips);
    let accounts = |list: &[proto::ServiceAccountMatch]| list.iter().map(service_account).collect();
    let port = |value: &u32| port("destination_ports", *value).ok();
    Match {
        namespaces,
        service_accounts: Predicate {
            any: accounts(&proto.service_accounts),
            none: accounts(&proto.not_service_accounts),
        },
        principals,
        source_ips,
        destination_ips,
        destination_ports: predicate(
            &proto.destination_ports,
            &proto.not_destination_ports,
            port,
            &mut unreadable,
        ),
        unreadable,
    }
}

fn predicate<P, T>(
    any: &[P],
    none: &[P],
    read: impl Fn(&P) -> Option<T>,
    unreadable: &mut bool,
) -> Predicate<T> {
    let mut list = |values: &[P]| {
        let read: Vec<T> = values.iter().filter_map(&read).collect();
        *unreadable |= read.len() < values.len();
        read
    };
    Predicate { any: list(any), none: list(none) }
}

fn string_match(proto: &proto::StringMatch) -> Option<StringMatch> {
    use proto::string_match::MatchType;
    Some(match proto.match_type.as_ref()? {
        MatchType::Exact(text) => StringMatch::Exact(text.as_str().into()),
        MatchType::Prefix(text) => StringMatch::Prefix(text.as_str().into()),
        MatchType::Suffix(text) => StringMatch::Suffix(text.as_str().into()),
        MatchType::Presence(()) => StringMatch::Presence,
    })
}

fn service_account(proto: &proto::ServiceAccountMatch) -> ServiceAccount {
    ServiceAccount { namespace: proto.namespace.as_str().into(), name: proto.service_account.as_str().into() }
}

fn range(proto: &proto::Address) -> Option<IpNet> {
    cidr("address", &proto.address, Some(proto.length)).ok()
}

#[cfg(test)]
mod tests;
