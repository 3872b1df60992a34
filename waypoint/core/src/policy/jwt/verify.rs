//! Whether a token may be believed: its times, its audience, its signature. Envoy's order, so Envoy's answers.

use super::status::JwtStatus;
use super::token::Token;
use crate::matching::string;
use crate::model::jwks::{Jwk, Jwks, Verifier};
use crate::model::jwt::{Audiences, JwtProvider};
use aws_lc_rs::hmac;
use std::time::Duration;

/// Everything but issuer and signature. `now` is since the epoch.
pub(super) fn claims(
    token: &Token,
    provider: &JwtProvider,
    audiences: &Audiences,
    now: Duration,
) -> Result<(), JwtStatus> {
    if provider.subjects.as_ref().is_some_and(|matcher| !string::matches(matcher, token.subject())) {
        return Err(JwtStatus::VerificationFails);
    }
    lifetime(token, provider, now.as_secs())?;
    let (now, skew) = (now.as_secs(), provider.clock_skew.as_secs());
    if token.not_before.is_some_and(|from| now.saturating_add(skew) < from) {
        return Err(JwtStatus::NotYetValid);
    }
    if token.expires.is_some_and(|until| now > until.saturating_add(skew)) {
        return Err(JwtStatus::Expired);
    }
    if audiences.accept(&token.audiences) { Ok(()) } else { Err(JwtStatus::AudienceNotAllowed) }
}

fn lifetime(token: &Token, provider: &JwtProvider, now: u64) -> Result<(), JwtStatus> {
    let allowed = match (token.expires, provider.max_lifetime) {
        (None, limit) => !provider.require_expiration && limit.is_none(),
        (Some(_), None) => true,
        (Some(until), Some(limit)) => Duration::from_secs(until.saturating_sub(now)) < limit,
    };
    if allowed { Ok(()) } else { Err(JwtStatus::VerificationFails) }
}

impl Audiences {
    #[must_use]
    pub fn new(audiences: &[String]) -> Self {
        Self(audiences.iter().map(|audience| bare(audience).into()).collect())
    }

    fn accept(&self, claimed: &[Box<str>]) -> bool {
        self.0.is_empty()
            || claimed.iter().any(|claimed| self.0.iter().any(|known| **known == *bare(claimed)))
    }
}

/// Envoy: scheme and one trailing slash do not count.
fn bare(audience: &str) -> &str {
    let rest = ["http://", "https://"].iter().find_map(|scheme| audience.strip_prefix(scheme));
    let rest = rest.unwrap_or(audience);
    rest.strip_suffix('/').unwrap_or(rest)
}

/// By the keys that may have signed it.
pub(super) fn signature(token: &Token, jwks: &Jwks) -> Result<(), JwtStatus> {
    let mut any = false;
    for key in jwks.keys.iter().filter(|key| may_have_signed(key, token)) {
        any = true;
        if signed_by(key, token) {
            return Ok(());
        }
    }
    Err(if any { JwtStatus::VerificationFails } else { JwtStatus::NoMatchingKey })
}

/// A key or a token without an id fits all.
fn may_have_signed(key: &Jwk, token: &Token) -> bool {
    let same_id = match (&key.id, &token.key_id) {
        (Some(key), Some(token)) => key == token,
        _ => true,
    };
    same_id && key.algorithm.is_none_or(|algorithm| algorithm == token.algorithm)
}

fn signed_by(key: &Jwk, token: &Token) -> bool {
    let verifier = key.verifiers.iter().find(|(algorithm, _)| *algorithm == token.algorithm);
    verifier.is_some_and(|(_, verifier)| match verifier {
        Verifier::Public(key) => key.verify_sig(token.signed(), &token.signature).is_ok(),
        Verifier::Secret(key) => hmac::verify(key, token.signed(), &token.signature).is_ok(),
    })
}
