//! The least loaded of a few random hosts, istiod's default. Envoy: `LeastRequestLoadBalancer`.
//!
//! Hosts are drawn by weight and compared by load per weight, so that weights hold when idle and when busy.
//! Differs from Envoy with unequal weights: it schedules by weight divided by load, which needs a lock.

use super::host::Host;
use super::weights::Weights;
use crate::dice::Dice;
use std::sync::Arc;

pub(super) fn pick(hosts: &[Arc<Host>], weights: &Weights, choices: u32, dice: &mut Dice) -> Option<usize> {
    let mut best = weights.index(dice.draw())?;
    for _ in 1..choices.max(1) {
        let next = weights.index(dice.draw())?;
        if load(&hosts[next], weights.weight(best)) < load(&hosts[best], weights.weight(next)) {
            best = next;
        }
    }
    Some(best)
}

/// Load scaled by the other host's weight: `a/wa < b/wb` without the division. Idle hosts tie, and the first drawn stays:
/// that keeps their weights exact.
fn load(host: &Host, other_weight: u64) -> u128 {
    u128::from(host.active()) * u128::from(other_weight)
}
