//! Headers towards upstream and downstream: the route's mutations and the ones a router adds itself.
//! Envoy: `HeaderParser::evaluateHeaders`, `RouteEntryImplBase::finalizeRequestHeaders`, `ConnectionManagerUtility::cleanInternalHeaders`.

use super::plan::ForwardPlan;
use super::rewrite::HostPlan;
use crate::model::access_log::Format;
use crate::model::route::{HeaderAdd, HeaderAppendAction, HeaderMutations, HeaderText};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers that tell an Envoy how to treat a request, or a backend what an Envoy did. From a client they are lies.
const CLIENT_MAY_NOT_SEND: [HeaderName; 17] = [
    HeaderName::from_static("x-envoy-retry-on"),
    HeaderName::from_static("x-envoy-retry-grpc-on"),
    HeaderName::from_static("x-envoy-max-retries"),
    HeaderName::from_static("x-envoy-retriable-status-codes"),
    HeaderName::from_static("x-envoy-retriable-header-names"),
    HeaderName::from_static("x-envoy-hedge-on-per-try-timeout"),
    HeaderName::from_static("x-envoy-upstream-alt-stat-name"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-ms"),
    HeaderName::from_static("x-envoy-upstream-rq-per-try-timeout-ms"),
    HeaderName::from_static("x-envoy-upstream-rq-timeout-alt-response"),
    HeaderName::from_static("x-envoy-expected-rq-timeout-ms"),
    HeaderName::from_static("x-envoy-force-trace"),
    HeaderName::from_static("x-envoy-ip-tags"),
    HeaderName::from_static("x-envoy-internal"),
    HeaderName::from_static("x-envoy-original-url"),
    ORIGINAL_PATH,
    ORIGINAL_HOST,
];

const ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
const ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-envoy-original-host");
const EXPECTED_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Drops what only a proxy may say (CVE-2023-27487, CVE-2024-45806). Runs before any policy reads the headers.
pub fn sanitize_client(headers: &mut HeaderMap) {
    for name in CLIENT_MAY_NOT_SEND {
        headers.remove(name);
    }
}

/// Evaluates a format over the headers as they are; `None` is nothing to print.
pub type Render<'a> = &'a mut dyn FnMut(&Format, &HeaderMap) -> Option<HeaderValue>;

/// Applies one set of mutations; a value that is empty adds no header and replaces none.
///
/// Envoy: what is removed goes first, then all values are made, then they are put in: no value sees another of its set.
pub fn apply(mutations: &HeaderMutations, headers: &mut HeaderMap, render: Render<'_>) {
    for name in &mutations.remove {
        headers.remove(name);
    }
    let formatted: Vec<_> = mutations
        .add
        .iter()
        .filter_map(|addition| addition.value.format())
        .map(|f| render(f, headers))
        .collect();
    let mut formatted = formatted.into_iter();
    for addition in &mutations.add {
        let value = match &addition.value {
            HeaderText::Literal(value) => Some(value.clone()),
            HeaderText::Format(_) => formatted.next().flatten(),
        };
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        put(addition, value, headers);
    }
}

fn put(addition: &HeaderAdd, value: HeaderValue, headers: &mut HeaderMap) {
    let name = &addition.name;
    let present = headers.contains_key(name);
    match addition.action {
        HeaderAppendAction::AppendIfExistsOrAdd => {
            headers.append(name, value);
        }
        HeaderAppendAction::AddIfAbsent if present => {}
        HeaderAppendAction::OverwriteIfExists if !present => {}
        _ => {
            headers.insert(name, value);
        }
    }
}

/// What the request was before the route touched it.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    pub path: &'a str,
    pub authority: &'a str,
}

/// The router's own headers towards upstream; after the mutations, so that configuration cannot forge them.
/// `suppress_envoy`: the router filter's `suppress_envoy_headers`.
pub fn finalize_upstream(
    plan: &ForwardPlan,
    original: Original<'_>,
    suppress_envoy: bool,
    headers: &mut HeaderMap,
) {
    let mut set = |name: HeaderName, value: &str| {
        // An authority with odd bytes cannot be told upstream; it was not needed there either.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    let host_changes = plan.host != HostPlan::Keep;
    if !suppress_envoy {
        if plan.path.is_some() {
            set(ORIGINAL_PATH, original.path);
        }
        if host_changes {
            set(ORIGINAL_HOST, original.authority);
        }
        if let Some(expected) = plan.timeouts.expected {
            set(EXPECTED_TIMEOUT, &expected.as_millis().to_string());
        }
    }
    if host_changes
        && plan.forward().append_x_forwarded_host
        && let Ok(value) = HeaderValue::from_str(original.authority)
    {
        headers.append(FORWARDED_HOST, value);
    }
    if let Some(timeout) = &plan.timeouts.grpc_timeout {
        headers.insert(GRPC_TIMEOUT, timeout.clone());
    }
}

#[cfg(test)]
mod tests;
