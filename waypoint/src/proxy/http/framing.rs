//! Headers that belong to one connection, not to the message: taken off before a message goes on to the next one.
//!
//! Pure. Spec: RFC 9110 §7.6.1. Envoy: `ConnectionManagerUtility::mutate{Request,Response}Headers`; unlike Envoy we also
//! drop what `connection:` nominates, except headers a nomination must not be able to remove.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
static PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
static HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// End-to-end by definition: a client that nominates them wants something removed that others rely on.
const PROTECTED: [&str; 12] = [
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "te",
    "trailer",
    "traceparent",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-proto",
];

/// Prepares a request's headers for policy, routing and the next hop.
///
/// `te: trailers` stays: it says the client understands trailers, which gRPC servers insist on.
pub fn strip_request(headers: &mut HeaderMap, upgrade: bool) {
    let trailers = wants_trailers(headers);
    strip(headers);
    headers.remove(header::TE);
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if !upgrade {
        headers.remove(header::UPGRADE);
    }
}

/// Prepares a response's headers for the client.
pub fn strip_response(headers: &mut HeaderMap, upgraded: bool) {
    strip(headers);
    if !upgraded {
        headers.remove(header::UPGRADE);
    }
}

/// Puts back what an HTTP/1 upgrade needs between two neighbours.
pub fn ask_upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
}

fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        for name in nominated(headers) {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    for name in [&KEEP_ALIVE, &PROXY_CONNECTION, &HTTP2_SETTINGS, &header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
}

fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let tokens = values.flat_map(|value| value.split(',')).map(str::trim);
    tokens
        .filter(|token| !token.eq_ignore_ascii_case("upgrade"))
        .filter_map(|token| HeaderName::try_from(token).ok())
        .filter(|name| !PROTECTED.contains(&name.as_str()))
        .collect()
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// Whether a message says once at most how long it is, and has no transfer coding but `chunked`: any other would be taken
/// off together with its name. Envoy: a protocol error. hyper reads what ends in `chunked`, and all else until the end, and
/// would pass two lengths on.
#[must_use]
pub fn is_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let only = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    lengths <= 1 && codings.next().is_none_or(only) && codings.next().is_none()
}

/// The length a message declares, when it does.
#[must_use]
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
