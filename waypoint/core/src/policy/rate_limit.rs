//! Local rate limits: token buckets all workers share.
//!
//! A bucket is one number, the time at which it is full again: a token moves it by the time one token takes to come back.
//! So tokens come back evenly, not in bursts at the end of an interval, and nothing has to run when nobody asks.
//! Envoy: `LocalRateLimiterImpl` over `AtomicTokenBucketImpl`; the algorithm is GCRA (ITU-T I.371).

use crate::dice::Dice;
use crate::failure::{Failure, GrpcStatus};
use crate::model::rate_limit::{Bucket, LocalRateLimit, TokenRate};
use crate::model::route::Fraction;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    Pass,
    /// Over the limit, but not enforced: the request goes on with other headers.
    Mark,
    Refuse(Failure),
}

/// `now` is monotonic, as everywhere in `balance`; `grpc`: of a gRPC request.
#[must_use]
pub fn decide(config: &LocalRateLimit, grpc: bool, now: Duration, dice: &mut Dice) -> Limit {
    let mut hits = |fraction: Fraction| dice.chance(fraction.numerator, fraction.denominator);
    let Some(bucket) = config.bucket.as_ref().filter(|_| hits(config.enabled)) else { return Limit::Pass };
    if take(bucket, now) {
        return Limit::Pass;
    }
    if !hits(config.enforced) {
        return Limit::Mark;
    }
    let grpc_status = (grpc && config.resource_exhausted).then_some(GrpcStatus::RESOURCE_EXHAUSTED);
    Limit::Refuse(Failure { status: config.status, grpc_status, ..Failure::local_rate_limited() })
}

/// Takes a token if there is one.
fn take(bucket: &Bucket, now: Duration) -> bool {
    let now = nanos(now);
    let token = token(bucket.rate);
    let most = u128::from(token) * u128::from(bucket.rate.max);
    let taken = bucket.tokens.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
        let full_at = full_at.max(now).saturating_add(token);
        (bucket.rate.max > 0 && u128::from(full_at - now) <= most).then_some(full_at)
    });
    taken.is_ok()
}

/// Nanoseconds until one token is back.
fn token(rate: TokenRate) -> u64 {
    nanos(rate.fill_interval) / u64::from(rate.per_fill.max(1))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
