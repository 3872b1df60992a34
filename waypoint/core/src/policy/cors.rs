//! Cross-origin resource sharing. Envoy: `extensions.filters.http.cors`, configured per route.

use crate::matching::string;
use crate::matching::view::RequestView;
use crate::model::route::Cors;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// `%RESPONSE_CODE_DETAILS%` of an answered preflight.
pub const PREFLIGHT_DETAILS: &str = "cors_response";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsDecision {
    /// No cross-origin request, or not from an allowed origin: goes on untouched, and the browser refuses the answer.
    Ignore,
    /// Answered here: 200, no body, [`preflight_headers`]; no origin where it is not an allowed one.
    Preflight { origin: Option<HeaderValue> },
    /// Goes on; its response gets [`response_headers`].
    Apply { origin: HeaderValue },
}

#[must_use]
pub fn decide(cors: &Cors, request: &RequestView<'_>) -> CorsDecision {
    let Some(origin) = request.headers.get(ORIGIN).filter(|origin| !origin.is_empty()) else {
        return CorsDecision::Ignore;
    };
    let asks_method =
        request.headers.get(ACCESS_CONTROL_REQUEST_METHOD).is_some_and(|method| !method.is_empty());
    let preflight = request.method == "OPTIONS" && asks_method;
    // Envoy: an allowed origin written as `*` admits every origin.
    let allowed = cors
        .allow_origins
        .iter()
        .any(|matcher| string::matches(matcher, "*") || string::matches(matcher, origin.as_bytes()));
    match (allowed, preflight) {
        (true, true) => CorsDecision::Preflight { origin: Some(origin.clone()) },
        (true, false) => CorsDecision::Apply { origin: origin.clone() },
        (false, true) if !cors.forward_not_matching_preflights => CorsDecision::Preflight { origin: None },
        (false, _) => CorsDecision::Ignore,
    }
}

/// The headers of the answer to a preflight; `asked` are the request's. Without an allowed origin the browser refuses the
/// answer, whatever else it says. Envoy: says it all the same.
pub fn preflight_headers(
    cors: &Cors,
    origin: Option<&HeaderValue>,
    asked: &HeaderMap,
    headers: &mut HeaderMap,
) {
    match origin {
        Some(origin) => response_headers(cors, origin, headers),
        None => allow_credentials(cors, headers),
    }
    let methods = concrete(cors.allow_methods.as_ref(), asked.get(ACCESS_CONTROL_REQUEST_METHOD));
    let names = concrete(cors.allow_headers.as_ref(), asked.get(ACCESS_CONTROL_REQUEST_HEADERS));
    insert(headers, ACCESS_CONTROL_ALLOW_METHODS, methods.as_ref());
    insert(headers, ACCESS_CONTROL_ALLOW_HEADERS, names.as_ref());
    insert(headers, ACCESS_CONTROL_MAX_AGE, cors.max_age.as_ref());
}

/// `*` is answered with what was asked for: beside credentials browsers take a star for a name (Fetch §3.2.3).
fn concrete(allowed: Option<&HeaderValue>, asked: Option<&HeaderValue>) -> Option<HeaderValue> {
    match allowed {
        Some(star) if star == "*" => Some(asked.cloned().unwrap_or(HeaderValue::from_static(""))),
        other => other.cloned(),
    }
}

/// What the upstream's response to an allowed cross-origin request gets; ours replace the upstream's.
pub fn response_headers(cors: &Cors, origin: &HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    allow_credentials(cors, headers);
    insert(headers, ACCESS_CONTROL_EXPOSE_HEADERS, cors.expose_headers.as_ref());
}

fn allow_credentials(cors: &Cors, headers: &mut HeaderMap) {
    if cors.allow_credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value.clone());
    }
}

#[cfg(test)]
mod tests;
