//! What a rate limit service says, and what becomes of the request. Envoy: `RateLimitFilter::Filter::complete`.

use super::{LIMIT, REMAINING, RESET, added, hits, retry_after};
use crate::dice::Dice;
use crate::failure::{Failure, GrpcStatus};
use crate::model::descriptor::{Told, Unit};
use crate::model::global_rate_limit::GlobalRateLimit;
use crate::model::metadata::MetadataValue;
use crate::policy::ext_authz::{Answer as Reply, HeaderChange};
use http::{HeaderName, HeaderValue, StatusCode};
use std::fmt::Write as _;
use std::time::Duration;

const RATELIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");

/// Of the service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub over_limit: bool,
    /// One for each descriptor.
    pub statuses: Vec<Status>,
    pub request: Vec<HeaderChange>,
    pub response: Vec<HeaderChange>,
    /// Of a refusal.
    pub body: bytes::Bytes,
    pub metadata: Option<MetadataValue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub over_limit: bool,
    pub limit: Option<CurrentLimit>,
    pub remaining: u32,
    pub until_reset: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentLimit {
    pub name: Box<str>,
    pub requests: u32,
    pub unit: Unit,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Pass {
        request: Vec<HeaderChange>,
        /// Of whatever response there will be.
        response: Vec<HeaderChange>,
    },
    OverLimit(Failure, Reply),
    /// There was no answer, and without one nobody passes.
    Error(Failure),
}

/// Whether the service is asked.
#[must_use]
pub fn enabled(config: &GlobalRateLimit, dice: &mut Dice) -> bool {
    hits(config.enabled, dice)
}

/// `told`: what each descriptor says of telling clients; `answer`: `None` when there is no usable one.
#[must_use]
pub fn judge(
    config: &GlobalRateLimit,
    told: &[Told],
    answer: Option<Answer>,
    grpc: bool,
    dice: &mut Dice,
) -> Verdict {
    let Some(answer) = answer else {
        return match hits(config.deny_on_error, dice) {
            true => Verdict::Error(Failure::rate_limiter_error(config.status_on_error)),
            false => Verdict::Pass { request: Vec::new(), response: Vec::new() },
        };
    };
    let mut response = answer.response;
    if answer.over_limit && config.says_limited {
        response.push(added(RATELIMITED, HeaderValue::from_static("true")));
    }
    response.extend(tell(config, told, &answer.statuses));
    if !answer.over_limit || !hits(config.enforced, dice) {
        return Verdict::Pass { request: answer.request, response };
    }
    if config.retry_after && config.status == StatusCode::TOO_MANY_REQUESTS {
        let over = answer.statuses.iter().filter(|status| status.over_limit);
        let wait = over.map(|status| status.until_reset).max().map(retry_after);
        response.extend(wait.filter(|wait| response.iter().all(|change| change.name != wait.name)));
    }
    let grpc_status = (grpc && config.resource_exhausted).then_some(GrpcStatus::RESOURCE_EXHAUSTED);
    let failure = Failure { grpc_status, ..Failure::request_rate_limited(config.status) };
    let reply = Reply { status: None, headers: response, body: answer.body, metadata: None };
    Verdict::OverLimit(failure, reply)
}

/// The limit that is closest, and all of them as a policy. Spec: draft-polli-ratelimit-headers-03.
fn tell(config: &GlobalRateLimit, told: &[Told], statuses: &[Status]) -> Vec<HeaderChange> {
    let is_told = |index: usize| match told.get(index).copied().unwrap_or_default() {
        Told::AsFilter => config.told,
        Told::Never => false,
        Told::Always => true,
    };
    let limited = || {
        let limited = statuses.iter().enumerate();
        limited.filter_map(|(index, status)| Some((index, status, status.limit.as_ref()?)))
    };
    let Some((_, status, limit)) =
        limited().min_by_key(|(_, status, _)| status.remaining).filter(|(index, ..)| is_told(*index))
    else {
        return Vec::new();
    };
    let mut policy = limit.requests.to_string();
    for (_, _, limit) in limited().filter(|(index, ..)| is_told(*index)) {
        let Some(window) = window(limit.unit) else { continue };
        // Writing to a string cannot fail.
        let _ = write!(policy, ", {};w={window}", limit.requests);
        if !limit.name.is_empty() {
            let _ = write!(policy, ";name=\"{}\"", limit.name);
        }
    }
    let Ok(policy) = HeaderValue::try_from(policy) else { return Vec::new() };
    vec![
        added(LIMIT, policy),
        added(REMAINING, HeaderValue::from(status.remaining)),
        added(RESET, HeaderValue::from(status.until_reset.as_secs())),
    ]
}

/// In seconds.
fn window(unit: Unit) -> Option<u32> {
    const DAY: u32 = 24 * 60 * 60;
    Some(match unit {
        Unit::Unknown => return None,
        Unit::Second => 1,
        Unit::Minute => 60,
        Unit::Hour => 60 * 60,
        Unit::Day => DAY,
        Unit::Week => 7 * DAY,
        Unit::Month => 30 * DAY,
        Unit::Year => 365 * DAY,
    })
}

#[cfg(test)]
mod tests;
