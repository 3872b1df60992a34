//! A new host takes less at first. Envoy: `cluster.v3.Cluster.SlowStartConfig`; Istio: `warmup`.

use crate::model::cluster::{BalancePolicy, SlowStart};
use std::time::Duration;

pub(super) fn of(policy: &BalancePolicy) -> Option<&SlowStart> {
    match policy {
        BalancePolicy::RoundRobin { slow_start } | BalancePolicy::LeastRequest { slow_start, .. } => {
            slow_start.as_ref()
        }
        _ => None,
    }
}

/// What its weight is multiplied by: grows from the minimum to 1 over the window.
pub(super) fn factor(slow_start: &SlowStart, age: Duration) -> f64 {
    if age >= slow_start.window {
        return 1.0;
    }
    // Envoy: the first second counts as one, so that a new host is never at zero.
    let progress = age.max(Duration::from_secs(1)).as_secs_f64() / slow_start.window.as_secs_f64();
    let aggression = if slow_start.aggression > 0.0 { slow_start.aggression } else { 1.0 };
    progress.powf(1.0 / aggression).clamp(slow_start.min_weight_percent / 100.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_one() {
        let slow_start =
            SlowStart { window: Duration::from_secs(100), aggression: 1.0, min_weight_percent: 10.0 };
        for (seconds, expect) in [(0, 0.1), (5, 0.1), (50, 0.5), (99, 0.99), (100, 1.0), (500, 1.0)] {
            let factor = factor(&slow_start, Duration::from_secs(seconds));
            assert!((factor - expect).abs() < 1e-9, "{seconds} s: {factor}");
        }
    }
}
