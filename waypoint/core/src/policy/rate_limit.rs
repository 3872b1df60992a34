//! Rate limits: what a request is counted by, buckets all workers share, and what a rate limit service says.
//!
//! Every bucket a request belongs to is asked, the slowest first; the first that is empty decides.
//! Envoy: `LocalRateLimiterImpl`, and `ratelimit` for what is counted elsewhere.

mod bucket;
pub mod descriptors;
pub mod global;
mod own;

pub use own::OwnBuckets;

use self::bucket::Left;
use self::descriptors::{Descriptor, Entry};
use super::ext_authz::HeaderChange;
use crate::dice::Dice;
use crate::failure::{Failure, GrpcStatus};
use crate::model::descriptor::Told;
use crate::model::rate_limit::{
    Bucket, DescriptorTokens, LocalDescriptor, LocalRateLimit, TokenRate, Tokens,
};
use crate::model::route::{Fraction, HeaderAppendAction};
use http::header::RETRY_AFTER;
use http::{HeaderName, HeaderValue, StatusCode};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    Pass,
    /// Over the limit, but not enforced: the request goes on with other headers.
    Mark,
    Refuse(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub limit: Limit,
    /// Headers of the response, whoever makes it.
    pub response: Vec<HeaderChange>,
}

/// One request, or one CONNECT.
#[derive(Debug)]
pub struct Counted<'a> {
    pub descriptors: &'a [Descriptor<'a>],
    pub grpc: bool,
    /// Monotonic, as everywhere in `balance`.
    pub now: Duration,
    /// The connection's, where the limit is for each by itself.
    pub own: Option<&'a mut OwnBuckets>,
}

/// Whether the request is counted at all.
#[must_use]
pub fn enabled(config: &LocalRateLimit, dice: &mut Dice) -> bool {
    let counts = config.bucket.is_some() || !config.descriptors.is_empty();
    counts && hits(config.enabled, dice)
}

#[must_use]
pub fn decide(config: &LocalRateLimit, counted: Counted<'_>, dice: &mut Dice) -> Decision {
    let (grpc, now) = (counted.grpc, counted.now);
    let (passes, by) = count(config, counted);
    let left = by.as_ref().map(|by| bucket::left(by.rate, &by.tokens, now));
    let told = match by.as_ref().map_or(Told::AsFilter, |by| by.told) {
        Told::AsFilter => config.told,
        Told::Never => false,
        Told::Always => true,
    };
    let mut response = left.filter(|_| told).map(tell).unwrap_or_default();
    let limit = match by {
        _ if passes => Limit::Pass,
        Some(Claim { shadow: true, .. }) => Limit::Pass,
        _ if !hits(config.enforced, dice) => Limit::Mark,
        _ => {
            if config.retry_after && config.status == StatusCode::TOO_MANY_REQUESTS {
                response.extend(left.map(|left| retry_after(left.next)));
            }
            let grpc_status = (grpc && config.resource_exhausted).then_some(GrpcStatus::RESOURCE_EXHAUSTED);
            Limit::Refuse(Failure { status: config.status, grpc_status, ..Failure::local_rate_limited() })
        }
    };
    Decision { limit, response }
}

fn hits(fraction: Fraction, dice: &mut Dice) -> bool {
    dice.chance(fraction.numerator, fraction.denominator)
}

/// A bucket the request belongs to.
#[derive(Clone, Debug)]
struct Claim {
    rate: TokenRate,
    tokens: Arc<Tokens>,
    hits: u64,
    shadow: bool,
    told: Told,
}

/// Takes from all buckets until one has too little. Beside the verdict: the bucket that decided, or the strictest.
fn count(config: &LocalRateLimit, counted: Counted<'_>) -> (bool, Option<Claim>) {
    let Counted { descriptors, now, own, .. } = counted;
    let mut claims: Vec<Claim> =
        descriptors.iter().filter_map(|descriptor| claim(&config.descriptors, descriptor)).collect();
    claims.sort_by(|a, b| bucket::per_second(a.rate).total_cmp(&bucket::per_second(b.rate)));
    if claims.is_empty() || config.always_consume_default {
        claims.extend(config.bucket.as_ref().map(default_claim));
    }
    if let Some(own) = own {
        claims.iter_mut().for_each(|claim| claim.tokens = own.of(&claim.tokens));
    }
    let empty = claims.iter().position(|claim| !bucket::take(claim.rate, &claim.tokens, claim.hits, now));
    let passes = empty.is_none();
    (passes, (!claims.is_empty()).then(|| claims.swap_remove(empty.unwrap_or(0))))
}

fn default_claim(bucket: &Bucket) -> Claim {
    let Bucket { rate, tokens } = bucket.clone();
    Claim { rate, tokens, hits: 1, shadow: false, told: Told::AsFilter }
}

/// Exact entries before those with any value.
fn claim(known: &[LocalDescriptor], descriptor: &Descriptor<'_>) -> Option<Claim> {
    let exact = |one: &&LocalDescriptor| matches!(one.tokens, DescriptorTokens::One(_));
    let of = |one: &&LocalDescriptor| is_of(one, &descriptor.entries);
    let found = known.iter().filter(exact).find(of);
    let found = found.or_else(|| known.iter().filter(|one| !exact(one)).find(of))?;
    let tokens = match &found.tokens {
        DescriptorTokens::One(tokens) => tokens.clone(),
        DescriptorTokens::PerValues(seen) => {
            let digest = seen.keys.each_ref().map(|key| digest(key, &descriptor.entries));
            // Held for one look-up only.
            let mut seen = seen.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.get_or_insert(digest, Arc::default).clone()
        }
    };
    Some(Claim {
        rate: found.rate,
        tokens,
        hits: descriptor.hits.unwrap_or(1),
        shadow: found.shadow,
        told: descriptor.told,
    })
}

fn digest(key: &RandomState, entries: &[Entry<'_>]) -> u64 {
    let mut hasher = key.build_hasher();
    entries.iter().for_each(|entry| entry.value.hash(&mut hasher));
    hasher.finish()
}

fn is_of(known: &LocalDescriptor, entries: &[Entry<'_>]) -> bool {
    known.entries.len() == entries.len()
        && known.entries.iter().zip(entries).all(|((key, value), entry)| {
            **key == *entry.key && value.as_deref().is_none_or(|value| value == entry.value)
        })
}

fn tell(left: Left) -> Vec<HeaderChange> {
    let pairs = [
        (LIMIT, HeaderValue::from(left.max)),
        (REMAINING, HeaderValue::from(left.remaining)),
        (RESET, HeaderValue::from(whole_seconds(left.next))),
    ];
    pairs.into_iter().map(|(name, value)| added(name, value)).collect()
}

fn added(name: HeaderName, value: HeaderValue) -> HeaderChange {
    HeaderChange { name, value, action: HeaderAppendAction::AppendIfExistsOrAdd }
}

/// In whole seconds, at least one; what the configuration adds itself stays.
fn retry_after(wait: Duration) -> HeaderChange {
    let value = HeaderValue::from(whole_seconds(wait).max(1));
    HeaderChange { name: RETRY_AFTER, value, action: HeaderAppendAction::AddIfAbsent }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
