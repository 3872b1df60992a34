//! Filters that ask a rate limit service. Envoy: `extensions.filters.http.ratelimit.v3`.

use super::super::pb::{core, ratelimit as pb};
use super::super::problem::{At, Problem, Result};
use super::super::{grpc_service, ignored, route, values, wire};
use super::descriptors::{self, Place};
use super::error_status;
use crate::model::descriptor::VirtualHostLimits;
use crate::model::global_rate_limit::{GlobalRateLimit, RateLimitPerRoute};
use crate::model::grpc_service::GrpcTarget;
use crate::model::route::Fraction;
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

const UNSUPPORTED: &str = "unsupported_rate_limit";

/// Envoy's default.
const TIMEOUT: Duration = Duration::from_millis(20);

/// Where metadata of answers goes unless the filter says otherwise.
const NAMESPACE: &str = "envoy.filters.http.ratelimit";

pub(in crate::translate) fn filter(name: &str, mut filter: pb::RateLimit) -> Result<GlobalRateLimit> {
    request_type(&std::mem::take(&mut filter.request_type))?;
    let timeout = values::optional_duration(filter.timeout.take().as_ref()).at("timeout")?;
    let namespace = std::mem::take(&mut filter.metadata_namespace);
    let limits = std::mem::take(&mut filter.rate_limits);
    let limit = GlobalRateLimit {
        name: name.into(),
        domain: domain(std::mem::take(&mut filter.domain)).ok_or_else(|| Problem::invalid("no domain"))?,
        rate_limits: descriptors::limits(limits, Place::Global)?,
        stage: descriptors::stage(std::mem::take(&mut filter.stage)).at("stage")?,
        service: service(&mut filter).at("rate_limit_service")?,
        timeout: Some(timeout.unwrap_or(TIMEOUT)).filter(|timeout| !timeout.is_zero()),
        enabled: values::runtime_fraction(filter.filter_enabled.take().as_ref()).at("filter_enabled")?,
        enforced: values::runtime_fraction(filter.filter_enforced.take().as_ref()).at("filter_enforced")?,
        deny_on_error: deny_on_error(&mut filter)?,
        status: error_status(filter.rate_limited_status.take())
            .at("rate_limited_status")?
            .unwrap_or(StatusCode::TOO_MANY_REQUESTS),
        status_on_error: status_on_error(&mut filter).at("status_on_error")?,
        resource_exhausted: std::mem::take(&mut filter.rate_limited_as_resource_exhausted),
        told: told(std::mem::take(&mut filter.enable_x_ratelimit_headers))?,
        retry_after: std::mem::take(&mut filter.enable_retry_after_header),
        says_limited: !std::mem::take(&mut filter.disable_x_envoy_ratelimited_header),
        response_headers: Arc::new(
            route::header_mutations(&mut filter.response_headers_to_add, &mut Vec::new())
                .at("response_headers_to_add")?,
        ),
        metadata_namespace: if namespace.is_empty() { NAMESPACE.into() } else { namespace.into() },
    };
    ignored::rate_limit(&mut filter);
    wire::nothing_left(&filter)?;
    Ok(limit)
}

/// A CONNECT is not asked about: its route has no limits, so only the filter's own could want it.
pub(in crate::translate) fn at_connect(limit: &GlobalRateLimit) -> Result<()> {
    if limit.rate_limits.is_empty() {
        return Ok(());
    }
    Err(Problem::unsupported(UNSUPPORTED, "rate_limits for CONNECT"))
}

pub(in crate::translate) fn per_route(mut config: pb::RateLimitPerRoute) -> Result<RateLimitPerRoute> {
    use pb::rate_limit_per_route::VhRateLimitsOptions as Option;
    let virtual_host = match wire::enum_value(std::mem::take(&mut config.vh_rate_limits), "vh_rate_limits")? {
        Option::Override => VirtualHostLimits::Override,
        Option::Include => VirtualHostLimits::Include,
        Option::Ignore => VirtualHostLimits::Ignore,
    };
    let translated = RateLimitPerRoute {
        virtual_host,
        rate_limits: descriptors::limits(std::mem::take(&mut config.rate_limits), Place::Global)?,
        domain: domain(std::mem::take(&mut config.domain)),
    };
    wire::nothing_left(&config)?;
    Ok(translated)
}

fn domain(domain: String) -> Option<Arc<str>> {
    Some(domain).filter(|domain| !domain.is_empty()).map(Into::into)
}

/// No request is internal here: `x-envoy-internal` is a client's claim and taken off.
fn request_type(kind: &str) -> Result<()> {
    match kind {
        "" | "both" | "external" => Ok(()),
        "internal" => Err(Problem::unsupported(UNSUPPORTED, "request_type=internal")),
        _ => Err(Problem::invalid(format_args!("bad request_type {kind:?}"))),
    }
}

fn service(filter: &mut pb::RateLimit) -> Result<GrpcTarget> {
    let mut config = filter.rate_limit_service.take().ok_or_else(|| Problem::invalid("missing"))?;
    if std::mem::take(&mut config.transport_api_version) != core::ApiVersion::V3 as i32 {
        return Err(Problem::unsupported(UNSUPPORTED, "transport_api_version"));
    }
    let service = config.grpc_service.take().ok_or_else(|| Problem::invalid("no grpc_service"))?;
    wire::nothing_left(&config)?;
    // The filter's own timeout wins over the service's.
    grpc_service::target(service, UNSUPPORTED).at("grpc_service").map(|(target, _)| target)
}

fn deny_on_error(filter: &mut pb::RateLimit) -> Result<Fraction> {
    let deny = std::mem::take(&mut filter.failure_mode_deny);
    match filter.failure_mode_deny_percent.take() {
        Some(percent) => values::runtime_fraction(Some(&percent)).at("failure_mode_deny_percent"),
        None => Ok(Fraction { numerator: u32::from(deny), denominator: 1 }),
    }
}

fn status_on_error(filter: &mut pb::RateLimit) -> Result<StatusCode> {
    let status = filter.status_on_error.take();
    let status = status.map(|status| values::status(status.code.cast_unsigned())).transpose()?;
    Ok(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
}

fn told(version: i32) -> Result<bool> {
    use pb::rate_limit::XRateLimitHeadersRfcVersion as Version;
    Ok(match wire::enum_value(version, "enable_x_ratelimit_headers")? {
        Version::Off => false,
        Version::DraftVersion03 => true,
    })
}

#[cfg(test)]
mod tests;
