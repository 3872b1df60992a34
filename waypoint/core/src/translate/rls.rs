//! Descriptors as a rate limit service reads them, and its answer. Envoy: `service.ratelimit.v3`.
//!
//! Here, because only `translate` sees protos; what the messages mean is `policy::rate_limit::global`.

use super::pb::{common_ratelimit as pb, core, protobuf, rls, types};
use super::values;
use crate::model::descriptor::{RateOverride, Unit};
use crate::model::route::HeaderAppendAction;
use crate::policy::ext_authz::HeaderChange;
use crate::policy::rate_limit::descriptors::Descriptor;
use crate::policy::rate_limit::global::{Answer, CurrentLimit, Status};
use http::{HeaderName, HeaderValue};
use prost::Message as _;

#[must_use]
pub fn encode(domain: &str, descriptors: &[Descriptor<'_>]) -> Vec<u8> {
    let request = rls::RateLimitRequest {
        domain: domain.to_owned(),
        descriptors: descriptors.iter().map(descriptor).collect(),
        hits_addend: 0, // one
    };
    request.encode_to_vec()
}

fn descriptor(descriptor: &Descriptor<'_>) -> pb::RateLimitDescriptor {
    let entries = descriptor.entries.iter().map(|entry| pb::rate_limit_descriptor::Entry {
        key: entry.key.to_owned(),
        value: entry.value.clone().into_owned(),
    });
    pb::RateLimitDescriptor {
        entries: entries.collect(),
        limit: descriptor.limit.map(limit_override),
        hits_addend: descriptor.hits.map(|value| protobuf::UInt64Value { value }),
        is_negative_hits: false,
    }
}

fn limit_override(limit: RateOverride) -> pb::rate_limit_descriptor::RateLimitOverride {
    let unit = match limit.unit {
        Unit::Second => types::RateLimitUnit::Second,
        Unit::Minute => types::RateLimitUnit::Minute,
        Unit::Hour => types::RateLimitUnit::Hour,
        Unit::Day => types::RateLimitUnit::Day,
        Unit::Month => types::RateLimitUnit::Month,
        Unit::Year => types::RateLimitUnit::Year,
        // Nobody can configure a week.
        Unit::Unknown | Unit::Week => types::RateLimitUnit::Unknown,
    };
    pb::rate_limit_descriptor::RateLimitOverride { requests_per_unit: limit.requests, unit: unit as i32 }
}

/// `None`: bytes that are no answer, or one that says nothing, or something that cannot be done.
/// Differs from Envoy, which takes an answer without a code for permission.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Answer> {
    use rls::rate_limit_response::Code;
    let response = rls::RateLimitResponse::decode(bytes).ok()?;
    let over_limit = match Code::try_from(response.overall_code).ok()? {
        Code::Ok => false,
        Code::OverLimit => true,
        Code::Unknown => return None,
    };
    Some(Answer {
        over_limit,
        statuses: response.statuses.into_iter().map(status).collect(),
        request: headers(response.request_headers_to_add)?,
        response: headers(response.response_headers_to_add)?,
        body: response.raw_body.into(),
        metadata: response.dynamic_metadata.map(values::structure),
    })
}

fn status(status: rls::rate_limit_response::DescriptorStatus) -> Status {
    use rls::rate_limit_response::Code;
    let until_reset = values::optional_duration(status.duration_until_reset.as_ref()).ok().flatten();
    Status {
        over_limit: status.code == Code::OverLimit as i32,
        limit: status.current_limit.map(|limit| CurrentLimit {
            unit: unit(limit.unit),
            requests: limit.requests_per_unit,
            name: limit.name.into(),
        }),
        remaining: status.limit_remaining,
        until_reset: until_reset.unwrap_or_default(),
    }
}

fn unit(unit: i32) -> Unit {
    use rls::rate_limit_response::rate_limit::Unit as Kind;
    match Kind::try_from(unit) {
        Ok(Kind::Second) => Unit::Second,
        Ok(Kind::Minute) => Unit::Minute,
        Ok(Kind::Hour) => Unit::Hour,
        Ok(Kind::Day) => Unit::Day,
        Ok(Kind::Week) => Unit::Week,
        Ok(Kind::Month) => Unit::Month,
        Ok(Kind::Year) => Unit::Year,
        Ok(Kind::Unknown) | Err(_) => Unit::Unknown,
    }
}

fn headers(list: Vec<core::HeaderValue>) -> Option<Vec<HeaderChange>> {
    list.into_iter().map(header).collect()
}

/// Differs from Envoy: a pseudo-header or Host cannot be set, for the request was routed and judged by them.
fn header(header: core::HeaderValue) -> Option<HeaderChange> {
    let name: HeaderName = header.key.parse().ok().filter(|name| *name != http::header::HOST)?;
    let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(HeaderChange { name, value, action: HeaderAppendAction::AppendIfExistsOrAdd })
}

#[cfg(test)]
mod tests;
