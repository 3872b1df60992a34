//! Hosts in turn. Envoy: `RoundRobinLoadBalancer`.
//!
//! Unequal weights: the cursor walks the weight line by the golden ratio, a low-discrepancy sequence, so any run of picks
//! is spread nearly as evenly as Envoy's deadline schedule, without a lock.

use super::weights::Weights;
use std::sync::atomic::{AtomicUsize, Ordering};

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

pub(super) fn pick(cursor: &AtomicUsize, weights: &Weights, len: usize) -> Option<usize> {
    let turn = cursor.fetch_add(1, Ordering::Relaxed);
    if weights.is_uniform() {
        turn.checked_rem(len)
    } else {
        weights.index((turn as u64).wrapping_mul(GOLDEN))
    }
}
