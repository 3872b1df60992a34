//! When to ask the CA again. No clock, no randomness of its own: `roll` is a number from -1 to 1.

use crate::limits;
use std::time::{Duration, SystemTime};

/// Spread of renewals around half life, so that certificates issued together are not renewed together. Istio: 1 %.
const RENEWAL_JITTER: f64 = 0.01;

/// Spread of the waits after failures. ztunnel: 20 %.
const BACKOFF_JITTER: f64 = 0.2;

/// One identity's run of failures.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    failures: u32,
}

impl Schedule {
    /// When to renew a certificate with this validity: half of its life, give or take 1 %.
    #[must_use]
    pub fn succeeded(&mut self, not_before: SystemTime, not_after: SystemTime, roll: f64) -> SystemTime {
        self.failures = 0;
        let life = not_after.duration_since(not_before).unwrap_or_default();
        not_before + life.mul_f64(0.5 * RENEWAL_JITTER.mul_add(roll, 1.0))
    }

    /// How long to wait after a failure: 0.5 s, doubled each time up to 150 s, give or take 20 %.
    #[must_use]
    pub fn failed(&mut self, roll: f64) -> Duration {
        let doubled = limits::CSR_BACKOFF_MIN.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        doubled.min(limits::CSR_BACKOFF_MAX).mul_f64(BACKOFF_JITTER.mul_add(roll, 1.0))
    }
}

#[cfg(test)]
mod tests;
