//! How long to wait before the next stream: doubling, with jitter, reset by success. Randomness is an argument.

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN};
use std::time::Duration;

#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: BACKOFF_MIN }
    }
}

impl Backoff {
    /// The wait before the coming attempt; `random` in `[0, 1)` spreads it over the upper half, so that the proxies
    /// of a mesh do not come back to a restarted istiod in one wave.
    pub fn wait(&mut self, random: f64) -> Duration {
        let wait = self.next.mul_f64(0.5 + random / 2.0);
        self.next = (self.next * 2).min(BACKOFF_MAX);
        wait
    }

    /// A response arrived: the server works.
    pub fn reset(&mut self) {
        self.next = BACKOFF_MIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_ceiling_and_resets() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..13).map(|_| backoff.wait(1.0)).collect();
        assert_eq!(waits[0], BACKOFF_MIN);
        assert_eq!(waits[1], BACKOFF_MIN * 2);
        assert_eq!(waits[12], BACKOFF_MAX);
        assert_eq!(Backoff::default().wait(0.0), BACKOFF_MIN / 2);
        backoff.reset();
        assert_eq!(backoff.wait(1.0), BACKOFF_MIN);
    }
}
