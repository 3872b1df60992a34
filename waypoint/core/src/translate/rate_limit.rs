//! Local rate limits. Envoy: `extensions.filters.http.local_ratelimit.v3`; istiod sends none, EnvoyFilters do.

mod carry_over;
pub(super) mod descriptors;
pub(super) mod global;

pub(super) use carry_over::carry_over;

use self::descriptors::Place;
use super::pb::{common_ratelimit, core, local_ratelimit as pb, types};
use super::problem::{At, Problem, Result};
use super::{ignored, route, values, wire};
use crate::limits::DYNAMIC_DESCRIPTORS_MAX;
use crate::model::descriptor::VirtualHostLimits;
use crate::model::rate_limit::{
    Bucket, DescriptorTokens, LocalDescriptor, LocalRateLimit, PerValues, TokenRate,
};
use crate::model::route::{Fraction, HeaderText};
use http::StatusCode;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

const UNSUPPORTED: &str = "unsupported_rate_limit";

/// Envoy refuses shorter intervals.
const FILL_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// What `policy::rate_limit` can count: 146 years until an empty bucket is full. Envoy: the precision of a double.
const TO_FILL_NANOS_MAX: u128 = u64::MAX as u128 / 4;

/// Of the filter and of a route alike.
pub(super) fn config(name: &str, mut limit: pb::LocalRateLimit) -> Result<LocalRateLimit> {
    let status = error_status(limit.status.take()).at("status")?;
    let mut none = Vec::new();
    let max_values = limit.max_dynamic_descriptors.take().map(|max| max.value);
    let known = descriptor_buckets(std::mem::take(&mut limit.descriptors), max_values)?;
    ignored::local_rate_limit(&mut limit, known.is_empty());
    let config = LocalRateLimit {
        name: name.into(),
        bucket: limit
            .token_bucket
            .take()
            .map(|bucket| self::bucket(&bucket))
            .transpose()
            .at("token_bucket")?,
        descriptors: known,
        always_consume_default: limit
            .always_consume_default_token_bucket
            .take()
            .is_none_or(|always| always.value),
        rate_limits: descriptors::limits(std::mem::take(&mut limit.rate_limits), Place::Local)?,
        stage: descriptors::stage(std::mem::take(&mut limit.stage)).at("stage")?,
        virtual_host: virtual_host(std::mem::take(&mut limit.vh_rate_limits))?,
        per_connection: std::mem::take(&mut limit.local_rate_limit_per_downstream_connection),
        enabled: fraction(limit.filter_enabled.take()).at("filter_enabled")?,
        enforced: fraction(limit.filter_enforced.take()).at("filter_enforced")?,
        status: status.unwrap_or(StatusCode::TOO_MANY_REQUESTS),
        resource_exhausted: std::mem::take(&mut limit.rate_limited_as_resource_exhausted),
        told: told(std::mem::take(&mut limit.enable_x_ratelimit_headers))?,
        retry_after: std::mem::take(&mut limit.enable_retry_after_header),
        response_headers: Arc::new(
            route::header_mutations(&mut limit.response_headers_to_add, &mut none)
                .at("response_headers_to_add")?,
        ),
        request_headers_when_not_enforced: route::header_mutations(
            &mut limit.request_headers_to_add_when_not_enforced,
            &mut none,
        )
        .at("request_headers_to_add_when_not_enforced")?,
    };
    wire::nothing_left(&limit)?;
    let per_values = |one: &LocalDescriptor| matches!(one.tokens, DescriptorTokens::PerValues(_));
    if config.per_connection && config.descriptors.iter().any(per_values) {
        return Err(Problem::unsupported(UNSUPPORTED, "descriptors of any value per connection"));
    }
    Ok(config)
}

/// Envoy: what is no error becomes the default.
fn error_status(status: Option<types::HttpStatus>) -> Result<Option<StatusCode>> {
    let status = status.map(|status| values::status(status.code.cast_unsigned())).transpose()?;
    Ok(status.filter(|status| status.as_u16() >= 400))
}

fn told(version: i32) -> Result<bool> {
    use common_ratelimit::XRateLimitHeadersRfcVersion as Version;
    Ok(match wire::enum_value(version, "enable_x_ratelimit_headers")? {
        Version::Off => false,
        Version::DraftVersion03 => true,
    })
}

fn virtual_host(option: i32) -> Result<VirtualHostLimits> {
    use common_ratelimit::VhRateLimitsOptions as Option;
    Ok(match wire::enum_value(option, "vh_rate_limits")? {
        Option::Override => VirtualHostLimits::Override,
        Option::Include => VirtualHostLimits::Include,
        Option::Ignore => VirtualHostLimits::Ignore,
    })
}

/// A CONNECT has nothing to fill formats from yet, and makes no connection inside a tunnel.
pub(super) fn constant(limit: &LocalRateLimit) -> Result<()> {
    if limit.per_connection {
        return Err(Problem::unsupported(UNSUPPORTED, "CONNECT per connection"));
    }
    match limit.response_headers.add.iter().find(|add| matches!(add.value, HeaderText::Format(_))) {
        Some(add) => Err(Problem::unsupported(UNSUPPORTED, add.name.as_str())),
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
    Ok(Bucket { rate: rate(bucket)?, tokens: Arc::default() })
}

fn rate(bucket: &types::TokenBucket) -> Result<TokenRate> {
    let per_fill = bucket.tokens_per_fill.map_or(1, |tokens| tokens.value);
    let fill_interval = values::optional_duration(bucket.fill_interval.as_ref()).at("fill_interval")?;
    let fill_interval = fill_interval.filter(|interval| *interval >= FILL_INTERVAL_MIN);
    let fill_interval = fill_interval.ok_or_else(|| Problem::invalid("fill_interval below 50 ms"))?;
    if per_fill == 0 {
        return Err(Problem::invalid("tokens_per_fill is 0"));
    }
    let to_fill = fill_interval.as_nanos() / u128::from(per_fill) * u128::from(bucket.max_tokens);
    if to_fill > TO_FILL_NANOS_MAX {
        return Err(Problem::unsupported(UNSUPPORTED, "more than a century to fill"));
    }
    Ok(TokenRate { max: bucket.max_tokens, per_fill, fill_interval })
}

/// Envoy's default of `max_dynamic_descriptors`.
const DYNAMIC_DESCRIPTORS: u32 = 20;

fn descriptor_buckets(
    list: Vec<common_ratelimit::LocalRateLimitDescriptor>,
    max_values: Option<u32>,
) -> Result<Vec<LocalDescriptor>> {
    let max_values = max_values.unwrap_or(DYNAMIC_DESCRIPTORS) as usize;
    let max_values =
        NonZeroUsize::new(max_values).ok_or_else(|| Problem::invalid("max_dynamic_descriptors is 0"))?;
    let mut known: Vec<LocalDescriptor> = Vec::with_capacity(list.len());
    for (index, descriptor) in list.into_iter().enumerate() {
        let one = descriptor_bucket(descriptor, max_values).at_index("descriptors", index)?;
        if known.iter().any(|known| known.entries == one.entries) {
            return Err(Problem::invalid("twice the same entries")).at_index("descriptors", index);
        }
        known.push(one);
    }
    Ok(known)
}

fn descriptor_bucket(
    mut descriptor: common_ratelimit::LocalRateLimitDescriptor,
    max_values: NonZeroUsize,
) -> Result<LocalDescriptor> {
    let entries = std::mem::take(&mut descriptor.entries).into_iter();
    let entries: Vec<(Box<str>, Option<Box<str>>)> = entries
        .map(|common_ratelimit::rate_limit_descriptor::Entry { key, value }| {
            (key.into(), (!value.is_empty()).then(|| value.into()))
        })
        .collect();
    if entries.is_empty() {
        return Err(Problem::invalid("no entries"));
    }
    let any_value = entries.iter().any(|(_, value)| value.is_none());
    if any_value && max_values.get() > DYNAMIC_DESCRIPTORS_MAX {
        return Err(Problem::unsupported(UNSUPPORTED, format!("max_dynamic_descriptors={max_values}")));
    }
    let bucket = descriptor.token_bucket.take().ok_or_else(|| Problem::invalid("no token_bucket"))?;
    let tokens = if any_value {
        DescriptorTokens::PerValues(Arc::new(PerValues::new(max_values)))
    } else {
        DescriptorTokens::One(Arc::default())
    };
    let shadow = std::mem::take(&mut descriptor.shadow_mode);
    wire::nothing_left(&descriptor)?;
    Ok(LocalDescriptor { entries, rate: rate(&bucket).at("token_bucket")?, tokens, shadow })
}

#[cfg(test)]
mod tests;
