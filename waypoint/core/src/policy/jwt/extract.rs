//! Finding tokens in a request. Envoy: `jwt_authn/extractor.cc`.

use crate::matching::view::RequestView;
use crate::model::jwt::JwtLocation;
use http::header::COOKIE;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// A token and where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) location: &'a JwtLocation,
}

/// The tokens at these places, in the order Envoy looks at them: its list is worked off from the end.
pub(super) fn tokens<'a>(locations: &'a [JwtLocation], request: &RequestView<'a>) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    for location in locations {
        match location {
            JwtLocation::Header { name, prefix } => {
                let values = request.headers.get_all(name).iter();
                let texts = values.filter_map(|value| after_prefix(value.as_bytes(), prefix.as_bytes()));
                found.extend(texts.map(|text| Found { text: String::from_utf8_lossy(text), location }));
            }
            JwtLocation::Parameter(name) => {
                found.extend(parameter(request.path.query(), name).map(|text| Found { text, location }));
            }
            JwtLocation::Cookie(name) => {
                found.extend(cookie(request, name).map(|text| Found { text: text.into(), location }));
            }
        }
    }
    found.reverse();
    found
}

/// Envoy: the prefix may be anywhere in the value, byte for byte; behind it the token begins with the first character
/// a token can have.
fn after_prefix<'a>(value: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    if prefix.is_empty() {
        return Some(value);
    }
    let at = value.windows(prefix.len()).position(|window| window == prefix)?;
    let rest = &value[at + prefix.len()..];
    let start = rest.iter().position(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    Some(start.map_or(value, |start| &rest[start..]))
}

/// The first of its name, both percent-decoded.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    let mut pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.find(|(key, _)| is_parameter(key, name))?;
    Some(percent_decode_str(value).decode_utf8_lossy())
}

/// Whether a parameter's name, as written, is this one.
pub(super) fn is_parameter(written: &str, name: &str) -> bool {
    percent_decode_str(written).eq(name.bytes())
}

/// The first of its name, without the quotes it may have.
fn cookie<'a>(request: &RequestView<'a>, name: &str) -> Option<&'a str> {
    let lines = request.headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests;
