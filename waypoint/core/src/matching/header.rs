//! Header matching. Envoy: `route.v3.HeaderMatcher`, `Http::HeaderUtility::HeaderData`.
//!
//! Each value of a repeated header counts on its own and one match is enough; a list inside one value is one value.
//! A joined view would let `x-role: user` + `x-role: admin` slip past a rule on `admin` (CVE-2026-26308).

use super::string;
use super::view::RequestView;
use crate::model::matcher::{HeaderKey, HeaderMatcher, HeaderValueMatcher};
use http::HeaderMap;
use http::header::HOST;

#[must_use]
pub fn matches(matcher: &HeaderMatcher, request: &RequestView<'_>) -> bool {
    match &matcher.key {
        HeaderKey::Method => decide(matcher, std::iter::once(request.method.as_bytes())),
        HeaderKey::Path => decide(matcher, std::iter::once(request.path.as_str().as_bytes())),
        HeaderKey::Authority => decide(matcher, std::iter::once(request.authority.as_bytes())),
        HeaderKey::Scheme => decide(matcher, std::iter::once(request.scheme.as_bytes())),
        // Envoy keeps Host as `:authority` only; a rule on `host` must not depend on the client's protocol.
        HeaderKey::Name(name) if *name == HOST => {
            decide(matcher, std::iter::once(request.authority.as_bytes()))
        }
        HeaderKey::Name(_) => matches_headers(matcher, request.headers),
    }
}

/// For responses (`retriable_headers`): pseudo headers other than names never match.
#[must_use]
pub fn matches_headers(matcher: &HeaderMatcher, headers: &HeaderMap) -> bool {
    let HeaderKey::Name(name) = &matcher.key else { return false };
    decide(matcher, headers.get_all(name).iter().map(http::HeaderValue::as_bytes))
}

fn decide<'a>(matcher: &HeaderMatcher, values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut values = values.peekable();
    let present = values.peek().is_some();
    let matched = match &matcher.matcher {
        HeaderValueMatcher::Present(wanted) => present == *wanted,
        // Envoy: a missing header matches nothing, not even inverted, unless it is to count as empty.
        _ if !present && !matcher.treat_missing_as_empty => return false,
        value_matcher if !present => matches_value(value_matcher, b""),
        value_matcher => values.any(|value| matches_value(value_matcher, value)),
    };
    matched != matcher.invert
}

fn matches_value(matcher: &HeaderValueMatcher, value: &[u8]) -> bool {
    match matcher {
        HeaderValueMatcher::Present(_) => true,
        HeaderValueMatcher::String(matcher) => string::matches(matcher, value),
        HeaderValueMatcher::Range { start, end } => std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse::<i64>().ok())
            .is_some_and(|number| (*start..*end).contains(&number)),
    }
}

#[cfg(test)]
mod tests;
