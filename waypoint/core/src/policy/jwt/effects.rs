//! What verified tokens change about their request: headers with claims, metadata for policy and routes, and the token
//! itself, which leaves unless it is to be forwarded. Envoy: `AuthenticatorImpl::handleGoodJwt`.

use super::extract::is_parameter;
use super::json;
use super::token::Token;
use crate::matching::path::NormalizedPath;
use crate::model::jwt::{ClaimHeader, JwtLocation, JwtProvider, PayloadHeader};
use crate::model::metadata::{DynamicMetadata, Fields, MetadataValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The name RBAC and routes know the claims by, whatever the filter is called.
pub const METADATA: &str = "envoy.filters.http.jwt_authn";

/// Collected while a request is judged, applied when it passes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    added: Vec<(HeaderName, HeaderValue)>,
    taken: Vec<JwtLocation>,
    metadata: Fields,
    reroutes: bool,
}

impl Effects {
    /// Whether the request is another one afterwards.
    #[must_use]
    pub fn change_request(&self) -> bool {
        *self != Self::default()
    }

    /// Whether the route is chosen by what the request then is, not by what it was.
    #[must_use]
    pub const fn reroute(&self) -> bool {
        self.reroutes
    }

    pub(super) fn verified(&mut self, provider: &JwtProvider, token: &Token, location: &JwtLocation) {
        self.added.extend(provider.payload_header.as_ref().and_then(|header| payload_header(header, token)));
        let before = self.added.len();
        let claims = provider.claim_headers.iter();
        self.added.extend(claims.filter_map(|claim| claim_header(claim, &token.claims)));
        // Envoy: the payload header does not count.
        let routable = self.added.len() > before || provider.payload_in_metadata.is_some();
        self.reroutes |= provider.clear_route_cache && routable;
        if !provider.forward {
            self.taken.push(location.clone());
        }
        if let Some(key) = &provider.header_in_metadata {
            self.metadata.insert(key.clone(), MetadataValue::Struct(token.header.clone()));
        }
        if let Some(key) = &provider.payload_in_metadata {
            let claims = normalized(&token.claims, &provider.space_delimited_claims);
            self.metadata.insert(key.clone(), MetadataValue::Struct(claims));
        }
    }

    /// Later filters, the route and the upstream see the request like this.
    pub fn apply(self, headers: &mut HeaderMap, path: &mut NormalizedPath, metadata: &mut DynamicMetadata) {
        for (name, value) in self.added {
            headers.append(name, value);
        }
        for location in &self.taken {
            match location {
                JwtLocation::Header { name, .. } => {
                    headers.remove(name);
                }
                JwtLocation::Parameter(name) => {
                    *path = without_parameter(path, name);
                }
                JwtLocation::Cookie(_) => {} // Envoy: cookies are always forwarded
            }
        }
        if !self.metadata.is_empty() {
            metadata.merge(METADATA, self.metadata);
        }
    }
}

/// Every parameter of that name goes, the others stay as they were written.
fn without_parameter(path: &NormalizedPath, name: &str) -> NormalizedPath {
    let kept = path.query().into_iter().flat_map(|query| query.split('&'));
    let kept = kept.filter(|pair| !is_parameter(pair.split_once('=').map_or(*pair, |(name, _)| name), name));
    path.with_query(&kept.collect::<Vec<_>>().join("&"))
}

fn payload_header(header: &PayloadHeader, token: &Token) -> Option<(HeaderName, HeaderValue)> {
    let mut payload = token.payload().trim_end_matches('=').to_owned();
    while header.padded && !payload.len().is_multiple_of(4) {
        payload.push('=');
    }
    let value = HeaderValue::try_from(payload).ok()?;
    Some((header.name.clone(), value))
}

/// `None` where the claim is missing, empty, null, or nothing a header can hold.
fn claim_header(claim: &ClaimHeader, claims: &Fields) -> Option<(HeaderName, HeaderValue)> {
    let (last, parents) = claim.path.split_last()?;
    let fields = parents.iter().try_fold(claims, |fields, key| match fields.get(key)? {
        MetadataValue::Struct(inner) => Some(inner),
        _ => None,
    })?;
    let text = match fields.get(last)? {
        MetadataValue::Null => return None,
        MetadataValue::Bool(value) => value.to_string(),
        MetadataValue::Number(value) => number(*value),
        MetadataValue::String(text) => text.to_string(),
        tree @ (MetadataValue::List(_) | MetadataValue::Struct(_)) => STANDARD.encode(json::text(tree)),
    };
    let value = HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())?;
    Some((claim.name.clone(), value))
}

/// Envoy: natural numbers as such, everything else with six decimals.
fn number(value: f64) -> String {
    if value >= 0.0 && value < u64::MAX as f64 && value.fract() == 0.0 {
        (value as u64).to_string()
    } else {
        format!("{value:.6}")
    }
}

/// Claims with the space-delimited ones as lists; one without any word stays a string.
fn normalized(claims: &Fields, space_delimited: &[Box<str>]) -> Fields {
    let mut claims = claims.clone();
    for name in space_delimited {
        let Some(value) = claims.get_mut(name) else { continue };
        let MetadataValue::String(text) = value else { continue };
        let words = text.split(' ').filter(|word| !word.is_empty());
        let words: Vec<_> = words.map(|word| MetadataValue::String(word.into())).collect();
        if !words.is_empty() {
            *value = MetadataValue::List(words);
        }
    }
    claims
}

#[cfg(test)]
mod tests;
