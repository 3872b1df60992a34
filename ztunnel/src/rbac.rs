//! Who may connect: the L4 part of Istio's authorization, as a pure function.
//!
//! Order (ztunnel `src/rbac.rs`): a matching DENY denies; without any ALLOW policy all is allowed; a matching ALLOW allows;
//! else denied. Dry-run policies are only reported.
//! Differs from ztunnel: a predicate that cannot be read makes a DENY match and an ALLOW not match, where ztunnel drops it;
//! and a policy that is named but unknown denies ([`Denied::Unknown`], after a wait by the caller) where ztunnel skips it.

use crate::state::{Action, Match, Policy, Snapshot, Workload};
use mesh::identity::SpiffeId;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a decision is made about. Addresses are those the application sees, not the tunnel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    pub source: SocketAddr,
    /// Of the TLS peer; none for plaintext.
    pub identity: Option<SpiffeId>,
    pub destination: SocketAddr,
}

/// Why a connection may not be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("explicitly denied by: {0}")]
    Explicitly(Arc<str>),
    #[error("allow policies exist, but none allowed")]
    NotAllowed,
    #[error("policy {0} applies but has not been received")]
    Unknown(Arc<str>),
}

/// Decides about a connection to `workload`.
///
/// # Errors
/// When it is denied.
pub fn authorize(snapshot: &Snapshot, workload: &Workload, connection: &Connection) -> Result<(), Denied> {
    let verdict = evaluate(|| snapshot.policies_of(workload), connection);
    match (verdict, snapshot.missing_policy(workload)) {
        (Err(denied @ Denied::Explicitly(_)), _) => Err(denied),
        // Whatever it says could change the answer, in either direction.
        (_, Some(missing)) => Err(Denied::Unknown(missing.clone())),
        (verdict, None) => verdict,
    }
}

fn evaluate<'a, I>(policies: impl Fn() -> I, connection: &Connection) -> Result<(), Denied>
where
    I: Iterator<Item = &'a Arc<Policy>>,
{
    for policy in policies().filter(|policy| policy.dry_run) {
        if matches(policy, connection) {
            tracing::debug!(target: "access", policy = %policy.key, action = ?policy.action, src.addr = %connection.source, "dry-run policy matched");
        }
    }
    let of = |action: Action| policies().filter(move |policy| !policy.dry_run && policy.action == action);
    if let Some(policy) = of(Action::Deny).find(|policy| matches(policy, connection)) {
        return Err(Denied::Explicitly(policy.key.clone()));
    }
    let mut allows = of(Action::Allow).peekable();
    if allows.peek().is_none() || allows.any(|policy| matches(policy, connection)) {
        return Ok(());
    }
    Err(Denied::NotAllowed)
}

/// Any rule (none: never), of which every clause (none: always), of which any match (none: always).
fn matches(policy: &Policy, connection: &Connection) -> bool {
    let clause = |clause: &Vec<Match>| {
        clause.is_empty() || clause.iter().any(|candidate| holds(candidate, policy.action, connection))
    };
    policy.rules.iter().any(|rule| rule.iter().all(clause))
}

fn holds(candidate: &Match, action: Action, connection: &Connection) -> bool {
    if candidate.is_empty() {
        return false;
    }
    if candidate.unreadable {
        return action == Action::Deny;
    }
    let identity = connection.identity.as_ref();
    let principal = identity.map(|id| id.as_str().strip_prefix("spiffe://").unwrap_or(id.as_str()));
    // A predicate on a peer without identity: none of its values matches.
    candidate.destination_ips.holds(|net| net.contains(&connection.destination.ip()))
        && candidate.source_ips.holds(|net| net.contains(&connection.source.ip()))
        && candidate.destination_ports.holds(|port| *port == connection.destination.port())
        && candidate.service_accounts.holds(|account| {
            identity.is_some_and(|id| {
                *account.namespace == *id.namespace() && *account.name == *id.service_account()
            })
        })
        && candidate.principals.holds(|text| principal.is_some_and(|principal| text.matches(principal)))
        && candidate.namespaces.holds(|text| identity.is_some_and(|id| text.matches(id.namespace())))
}

#[cfg(test)]
mod tests;
