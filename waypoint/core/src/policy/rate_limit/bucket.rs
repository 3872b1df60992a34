//! A bucket as one number: the time at which it is full again. A token moves it by the time one token takes to come back.
//!
//! So tokens come back evenly, not in bursts at the end of an interval, and nothing has to run when nobody asks.
//! Envoy: `AtomicTokenBucketImpl`; the algorithm is GCRA (ITU-T I.371).

use crate::model::rate_limit::{TokenRate, Tokens};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Takes so many tokens if there are as many. `now` is monotonic, as everywhere in `balance`.
pub(super) fn take(rate: TokenRate, tokens: &Tokens, count: u64, now: Duration) -> bool {
    let now = nanos(now);
    let cost = token(rate).saturating_mul(count);
    let most = capacity(rate);
    let taken = tokens.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
        let full_at = full_at.max(now).saturating_add(cost);
        (u64::from(rate.max) >= count && u128::from(full_at - now) <= most).then_some(full_at)
    });
    taken.is_ok()
}

/// What is in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) max: u32,
    /// Whole tokens.
    pub(super) remaining: u64,
    /// Until there is one; zero where there is.
    pub(super) next: Duration,
}

pub(super) fn left(rate: TokenRate, tokens: &Tokens, now: Duration) -> Left {
    let spent = u128::from(tokens.0.load(Ordering::Relaxed).saturating_sub(nanos(now)));
    let (token, most) = (u128::from(token(rate)), capacity(rate));
    let remaining = match token {
        0 => rate.max.into(),
        _ => u64::try_from(most.saturating_sub(spent) / token).unwrap_or(u64::MAX),
    };
    let wait = if remaining > 0 { 0 } else { (spent + token).saturating_sub(most) };
    let next = Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX));
    Left { max: rate.max, remaining, next }
}

/// For comparing: the slower bucket is the stricter limit.
pub(super) fn per_second(rate: TokenRate) -> f64 {
    f64::from(rate.per_fill) / rate.fill_interval.as_secs_f64()
}

/// Nanoseconds until one token is back.
fn token(rate: TokenRate) -> u64 {
    nanos(rate.fill_interval) / u64::from(rate.per_fill.max(1))
}

/// Nanoseconds until an empty bucket is full.
fn capacity(rate: TokenRate) -> u128 {
    u128::from(token(rate)) * u128::from(rate.max)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
