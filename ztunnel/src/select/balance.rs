//! Which endpoint of a service: locality first, then chance by capacity.

use crate::state::{LoadBalancer, LoadBalancerMode, Scope, Workload};
use std::sync::Arc;

/// Picks among `candidates`; `random` is in [0, 1).
pub(super) fn choose<'a, I>(
    source: &Workload,
    balancer: &LoadBalancer,
    candidates: impl Fn() -> I,
    random: f64,
) -> Option<&'a Arc<Workload>>
where
    I: Iterator<Item = &'a Arc<Workload>>,
{
    let rank = |workload: &Workload| rank(source, balancer, workload);
    // Only those of the best rank take part; a standard service has one rank.
    let best = candidates().filter_map(|workload| rank(workload)).max()?;
    let eligible: Vec<_> = candidates()
        .filter(|workload| rank(workload) == Some(best))
        .map(|workload| (workload, workload.capacity))
        .collect();
    weighted(eligible.into_iter(), random)
}

/// How near a workload is; none where it may not be used.
///
/// With the network named first it is a strong preference, and what lies outside still competes on the other scopes.
fn rank(source: &Workload, balancer: &LoadBalancer, workload: &Workload) -> Option<(bool, usize)> {
    let shared = |scope: &&Scope| scope.is_shared(source, workload);
    match balancer.mode {
        LoadBalancerMode::Standard | LoadBalancerMode::Passthrough => Some((false, 0)),
        LoadBalancerMode::Strict => {
            balancer.preferences.iter().all(|scope| shared(&scope)).then_some((false, 0))
        }
        LoadBalancerMode::Failover => {
            let (network, rest) = match balancer.preferences.split_first() {
                Some((Scope::Network, rest)) => (Scope::Network.is_shared(source, workload), rest),
                _ => (false, &*balancer.preferences),
            };
            Some((network, rest.iter().take_while(shared).count()))
        }
    }
}

/// Picks by weight; none where no weight is positive.
pub fn weighted<T>(choices: impl Iterator<Item = (T, u32)> + Clone, random: f64) -> Option<T> {
    let total: u64 = choices.clone().map(|(_, weight)| u64::from(weight)).sum();
    // Truncation is the point: a number in [0, total).
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let mut at = ((random * total as f64) as u64).min(total.checked_sub(1)?);
    for (choice, weight) in choices {
        match at.checked_sub(u64::from(weight)) {
            Some(rest) => at = rest,
            None => return Some(choice),
        }
    }
    None
}
