//! Retry policies. Envoy: `route.v3.RetryPolicy`; istiod's default in `pilot/pkg/networking/core/route/retry`.

use super::super::pb::{previous_priorities, route as pb};
use super::super::problem::{At, Problem, Result, Warnings};
use super::super::{matcher, values, wire};
use crate::limits::{RETRIES_MAX, RETRY_BACK_OFF_BASE, RETRY_BACK_OFF_MAX_FACTOR};
use crate::model::route::{RetryOn, RetryPolicy};
use std::time::Duration;

pub(super) fn policy(mut policy: pb::RetryPolicy) -> Result<RetryPolicy> {
    let codes = std::mem::take(&mut policy.retriable_status_codes);
    let (back_off_base, back_off_max) = back_off(policy.retry_back_off.take()).at("retry_back_off")?;
    let headers = std::mem::take(&mut policy.retriable_headers);
    let attempts = std::mem::take(&mut policy.host_selection_retry_max_attempts);
    let translated = RetryPolicy {
        on: retry_on(&std::mem::take(&mut policy.retry_on)),
        retries: policy.num_retries.take().map_or(1, |retries| retries.value).min(RETRIES_MAX),
        per_try_timeout: values::limit(policy.per_try_timeout.take().as_ref()).at("per_try_timeout")?,
        per_try_idle_timeout: values::limit(policy.per_try_idle_timeout.take().as_ref())
            .at("per_try_idle_timeout")?,
        status_codes: codes
            .into_iter()
            .map(values::status)
            .collect::<Result<_>>()
            .at("retriable_status_codes")?,
        retriable_headers: matcher::headers(&headers).at("retriable_headers")?,
        back_off_base,
        back_off_max,
        avoid_previous_hosts: host_predicates(std::mem::take(&mut policy.retry_host_predicate))?,
        host_selection_attempts: u32::try_from(attempts.max(1)).unwrap_or(u32::MAX),
        previous_priorities: priority(policy.retry_priority.take())?,
    };
    wire::nothing_left(&policy)?;
    Ok(translated)
}

/// Unknown words are ignored, as in Envoy; istiod validates them before.
fn retry_on(text: &str) -> RetryOn {
    text.split(',').map(str::trim).fold(RetryOn::default(), |on, word| {
        on.with(match word {
            "5xx" => RetryOn::SERVER_ERROR,
            "gateway-error" => RetryOn::GATEWAY_ERROR,
            "reset" => RetryOn::RESET,
            "reset-before-request" => RetryOn::RESET_BEFORE_REQUEST,
            "connect-failure" => RetryOn::CONNECT_FAILURE,
            "envoy-ratelimited" => RetryOn::ENVOY_RATELIMITED,
            "retriable-4xx" => RetryOn::RETRIABLE_4XX,
            "refused-stream" => RetryOn::REFUSED_STREAM,
            "retriable-status-codes" => RetryOn::RETRIABLE_STATUS_CODES,
            "retriable-headers" => RetryOn::RETRIABLE_HEADERS,
            "http3-post-connect-failure" => RetryOn::HTTP3_POST_CONNECT_FAILURE,
            "cancelled" => RetryOn::GRPC_CANCELLED,
            "deadline-exceeded" => RetryOn::GRPC_DEADLINE_EXCEEDED,
            "internal" => RetryOn::GRPC_INTERNAL,
            "resource-exhausted" => RetryOn::GRPC_RESOURCE_EXHAUSTED,
            "unavailable" => RetryOn::GRPC_UNAVAILABLE,
            _ => RetryOn::default(),
        })
    })
}

fn back_off(back_off: Option<pb::retry_policy::RetryBackOff>) -> Result<(Duration, Duration)> {
    let back_off = back_off.unwrap_or_default();
    let base = values::limit(back_off.base_interval.as_ref())?.unwrap_or(RETRY_BACK_OFF_BASE);
    let max = values::limit(back_off.max_interval.as_ref())?.unwrap_or(base * RETRY_BACK_OFF_MAX_FACTOR);
    if max < base {
        return Err(Problem::invalid("max_interval is below base_interval"));
    }
    Ok((base, max))
}

fn host_predicates(predicates: Vec<pb::retry_policy::RetryHostPredicate>) -> Result<bool> {
    let mut avoid = false;
    for predicate in predicates {
        use pb::retry_policy::retry_host_predicate::ConfigType::TypedConfig;
        let named = predicate.name == "envoy.retry_host_predicates.previous_hosts";
        let typed = predicate.config_type.as_ref().is_some_and(|TypedConfig(any)| {
            wire::type_name(any) == "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
        });
        if !(typed || named && predicate.config_type.is_none()) {
            return Err(Problem::unsupported("unsupported_retry", predicate.name));
        }
        avoid = true;
    }
    Ok(avoid)
}

fn priority(priority: Option<pb::retry_policy::RetryPriority>) -> Result<Option<u32>> {
    let Some(priority) = priority else { return Ok(None) };
    let Some(pb::retry_policy::retry_priority::ConfigType::TypedConfig(any)) = priority.config_type else {
        return Err(Problem::unsupported("unsupported_retry", priority.name));
    };
    let config: previous_priorities::PreviousPrioritiesConfig = wire::unpack(&any, &mut Warnings::default())?;
    u32::try_from(config.update_frequency)
        .ok()
        .filter(|frequency| *frequency > 0)
        .map(Some)
        .ok_or_else(|| Problem::invalid("update_frequency must be positive"))
}
