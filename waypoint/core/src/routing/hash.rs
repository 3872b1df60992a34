//! The hash that keeps a client on one endpoint. Envoy: `Http::HashPolicyImpl`.

use crate::dice::Dice;
use crate::matching::query;
use crate::matching::view::RequestView;
use crate::model::route::HashPolicy;
use http::HeaderValue;
use http::header::{COOKIE, HeaderName};
use std::time::Duration;
use xxhash_rust::xxh64::xxh64;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashOutcome {
    /// `None`: nothing to hash, so any endpoint will do.
    pub hash: Option<u64>,
    /// A cookie made for this client, to be sent with the response.
    pub set_cookie: Option<HeaderValue>,
}

#[must_use]
pub fn hash(policies: &[HashPolicy], request: &RequestView<'_>, dice: &mut Dice) -> HashOutcome {
    let mut outcome = HashOutcome::default();
    for policy in policies {
        let (piece, terminal) = match policy {
            HashPolicy::Header { name, terminal } => (header(request, name), *terminal),
            HashPolicy::SourceIp { terminal } => {
                (Some(xxh64(request.connection.source_ip.to_string().as_bytes(), 0)), *terminal)
            }
            HashPolicy::Query { name, terminal } => (
                query::first_value(request.path.query(), name).map(|value| xxh64(value.as_bytes(), 0)),
                *terminal,
            ),
            HashPolicy::Cookie { name, ttl, path, attributes, terminal } => {
                let (piece, set) = match cookie(request, name) {
                    Some(value) => (Some(xxh64(value.as_bytes(), 0)), None),
                    None => ttl.map(|ttl| make_cookie(name, ttl, (path, attributes), dice.draw())).unzip(),
                };
                outcome.set_cookie = outcome.set_cookie.or(set);
                (piece, *terminal)
            }
        };
        if let Some(piece) = piece {
            // Envoy: rotate, then mix, so that the same value under two policies does not cancel out.
            outcome.hash = Some(outcome.hash.map_or(0, |hash| hash.rotate_left(1)) ^ piece);
        }
        if terminal && outcome.hash.is_some() {
            break;
        }
    }
    outcome
}

/// Repeated headers hash by their sorted values: order says nothing.
fn header(request: &RequestView<'_>, name: &HeaderName) -> Option<u64> {
    let mut values: Vec<&[u8]> = request.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    values.sort_unstable();
    (!values.is_empty()).then(|| values.into_iter().fold(0, |seed, value| xxh64(value, seed)))
}

/// The value as the client sends it, without the quotes it may have.
fn cookie<'a>(request: &RequestView<'a>, name: &str) -> Option<&'a str> {
    let values = request.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == name)?;
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some(unquoted.unwrap_or(value)).filter(|value| !value.is_empty())
}

/// Differs from Envoy, which derives the value from the connection's addresses: behind HBONE those are the tunnel's, so
/// all clients of one node would share an endpoint.
fn make_cookie(
    name: &str,
    ttl: Duration,
    (path, attributes): (&str, &str),
    random: u64,
) -> (u64, HeaderValue) {
    let value = format!("{random:016x}");
    let mut cookie = format!("{name}=\"{value}\"");
    // Envoy: zero makes a session cookie.
    if !ttl.is_zero() {
        cookie.push_str(&format!("; Max-Age={}", ttl.as_secs()));
    }
    if !path.is_empty() {
        cookie.push_str(&format!("; Path={path}"));
    }
    cookie.push_str(attributes);
    cookie.push_str("; HttpOnly");
    let header = HeaderValue::try_from(cookie).unwrap_or_else(|_| HeaderValue::from_static(""));
    (xxh64(value.as_bytes(), 0), header)
}

#[cfg(test)]
mod tests;
