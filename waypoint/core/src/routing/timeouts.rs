//! How long a request may take. Envoy: `FilterUtility::finalTimeout`, `FilterUtility::setTimeoutHeaders`.
//!
//! Differs from Envoy: `x-envoy-upstream-rq-timeout-ms` and its kin are never obeyed. Envoy obeys them of "internal"
//! clients, which it recognises by x-forwarded-for, a header any client can write.

use crate::failure::is_grpc;
use crate::matching::view::RequestView;
use crate::model::route::Forward;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole exchange, retries included, from the last byte of the request; `None` never ends.
    pub request: Option<Duration>,
    pub per_try: Option<Duration>,
    pub per_try_idle: Option<Duration>,
    /// No byte in either direction.
    pub idle: Option<Duration>,
    /// `x-envoy-expected-rq-timeout-ms` towards upstream.
    pub expected: Option<Duration>,
    /// Replaces the client's `grpc-timeout` towards upstream.
    pub grpc_timeout: Option<HeaderValue>,
}

#[must_use]
pub fn timeouts(forward: &Forward, request: &RequestView<'_>) -> Timeouts {
    let grpc_limit = forward.max_grpc_timeout.filter(|_| is_grpc(request.headers.get(CONTENT_TYPE)));
    let total = match grpc_limit {
        Some(limit) => grpc_total(limit, request.headers.get("grpc-timeout")),
        None => forward.timeout.filter(|timeout| !timeout.is_zero()),
    };
    let retry = forward.retry.as_deref();
    // A try cannot outlast the whole.
    let per_try = retry
        .and_then(|retry| retry.per_try_timeout)
        .filter(|per_try| !per_try.is_zero() && total.is_none_or(|total| *per_try < total));
    let expected = per_try.or(total);
    Timeouts {
        request: total,
        per_try,
        per_try_idle: retry.and_then(|retry| retry.per_try_idle_timeout).filter(|idle| !idle.is_zero()),
        idle: forward.idle_timeout.filter(|idle| !idle.is_zero()),
        expected,
        grpc_timeout: grpc_limit.and(expected).map(format_grpc_timeout),
    }
}

/// A client that names no deadline has none, up to the route's limit; zero limits nothing.
fn grpc_total(limit: Duration, header: Option<&HeaderValue>) -> Option<Duration> {
    // Envoy: zero is none, too; the server gets it as it came.
    let asked = header.and_then(parse_grpc_timeout).filter(|asked| !asked.is_zero());
    let limit = Some(limit).filter(|limit| !limit.is_zero());
    match (asked, limit) {
        (Some(asked), Some(limit)) => Some(asked.min(limit)),
        (asked, limit) => asked.or(limit),
    }
}

/// At most eight digits and a unit, `grpc/doc/PROTOCOL-HTTP2.md`.
fn parse_grpc_timeout(value: &HeaderValue) -> Option<Duration> {
    let (digits, unit) = value.to_str().ok()?.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn format_grpc_timeout(timeout: Duration) -> HeaderValue {
    const DIGITS_MAX: u128 = 99_999_999;
    let millis = timeout.as_millis().max(1);
    let (number, unit) =
        [(millis, "m"), (millis / 1000, "S"), (millis / 60_000, "M"), (millis / 3_600_000, "H")]
            .into_iter()
            .find(|(number, _)| *number <= DIGITS_MAX)
            .unwrap_or((DIGITS_MAX, "H"));
    HeaderValue::try_from(format!("{number}{unit}")).expect("digits and a letter")
}

#[cfg(test)]
mod tests;
