//! Local rate limits. Envoy: `extensions.filters.http.local_ratelimit.v3`; istiod sends none, EnvoyFilters do.

use super::pb::{core, local_ratelimit as pb, types};
use super::problem::{At, Problem, Result};
use super::{ignored, route, values, wire};
use crate::model::http_chain::HttpFilter;
use crate::model::rate_limit::{Bucket, LocalRateLimit, TokenRate};
use crate::model::route::{Fraction, HeaderText};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// Envoy refuses shorter intervals.
const FILL_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// What `policy::rate_limit` can count: 146 years until an empty bucket is full. Envoy: the precision of a double.
const TO_FILL_NANOS_MAX: u128 = u64::MAX as u128 / 4;

/// Of the filter and of a route alike.
pub(super) fn config(mut limit: pb::LocalRateLimit) -> Result<LocalRateLimit> {
    let status = limit.status.take().map(|status| values::status(status.code.cast_unsigned()));
    // Envoy: what is no error becomes the default.
    let status = status.transpose().at("status")?.filter(|status| status.as_u16() >= 400);
    let mut none = Vec::new();
    let config = LocalRateLimit {
        bucket: limit
            .token_bucket
            .take()
            .map(|bucket| self::bucket(&bucket))
            .transpose()
            .at("token_bucket")?,
        enabled: fraction(limit.filter_enabled.take()).at("filter_enabled")?,
        enforced: fraction(limit.filter_enforced.take()).at("filter_enforced")?,
        status: status.unwrap_or(StatusCode::TOO_MANY_REQUESTS),
        resource_exhausted: std::mem::take(&mut limit.rate_limited_as_resource_exhausted),
        response_headers: route::header_mutations(&mut limit.response_headers_to_add, &mut none)
            .at("response_headers_to_add")?,
        request_headers_when_not_enforced: route::header_mutations(
            &mut limit.request_headers_to_add_when_not_enforced,
            &mut none,
        )
        .at("request_headers_to_add_when_not_enforced")?,
    };
    ignored::local_rate_limit(&mut limit);
    wire::nothing_left(&limit)?;
    Ok(config)
}

/// A CONNECT has nothing to fill formats from yet.
pub(super) fn constant(limit: &LocalRateLimit) -> Result<()> {
    match limit.response_headers.add.iter().find(|add| matches!(add.value, HeaderText::Format(_))) {
        Some(add) => Err(Problem::unsupported("unsupported_rate_limit", add.name.as_str())),
        None => Ok(()),
    }
}

/// Envoy: unset is none, so that a half-written filter limits nobody.
fn fraction(value: Option<core::RuntimeFractionalPercent>) -> Result<Fraction> {
    match value {
        None => Ok(Fraction { numerator: 0, denominator: 100 }),
        Some(value) => values::runtime_fraction(Some(&value)),
    }
}

fn bucket(bucket: &types::TokenBucket) -> Result<Bucket> {
    let per_fill = bucket.tokens_per_fill.map_or(1, |tokens| tokens.value);
    let fill_interval = values::optional_duration(bucket.fill_interval.as_ref()).at("fill_interval")?;
    let fill_interval = fill_interval.filter(|interval| *interval >= FILL_INTERVAL_MIN);
    let fill_interval = fill_interval.ok_or_else(|| Problem::invalid("fill_interval below 50 ms"))?;
    if per_fill == 0 {
        return Err(Problem::invalid("tokens_per_fill is 0"));
    }
    let to_fill = fill_interval.as_nanos() / u128::from(per_fill) * u128::from(bucket.max_tokens);
    if to_fill > TO_FILL_NANOS_MAX {
        return Err(Problem::unsupported("unsupported_rate_limit", "more than a century to fill"));
    }
    let rate = TokenRate { max: bucket.max_tokens, per_fill, fill_interval };
    Ok(Bucket { rate, tokens: Arc::default() })
}

/// A chain that changed elsewhere goes on with the tokens it had, filter by filter where the rate is the same.
/// Differs from Envoy, which fills all buckets of a chain with any change of it: a route pushed must not open a limit.
pub(super) fn carry_over(filters: &mut [HttpFilter], before: &[HttpFilter]) {
    let known: Vec<&Bucket> = before.iter().filter_map(bucket_of).collect();
    let filters = filters.iter_mut().filter(|filter| bucket_of(filter).is_some());
    for (filter, known) in filters.zip(known) {
        if let HttpFilter::LocalRateLimit(limit) = filter
            && let Some(bucket) = &mut Arc::make_mut(limit).bucket
            && bucket.rate == known.rate
        {
            bucket.tokens = known.tokens.clone();
        }
    }
}

fn bucket_of(filter: &HttpFilter) -> Option<&Bucket> {
    match filter {
        HttpFilter::LocalRateLimit(limit) => limit.bucket.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
