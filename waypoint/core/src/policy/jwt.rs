//! JSON Web Tokens: which a request brings, whether they may be believed, and what then changes.
//!
//! Invariant: a claim reaches policy, routes or upstream only from a token whose signature, times and audience were
//! checked for the provider it is claimed for; headers that carry claims are taken from every request first
//! ([`sanitize`]). A request with one good and one bad token for the same provider is refused: whoever reads it next
//! may read the bad one. Envoy: `jwt_authn/{filter,verifier,authenticator}.cc`; Istio: RequestAuthentication.

mod effects;
mod extract;
mod json;
pub mod jwks;
pub mod remote;
pub mod status;
pub mod token;
mod verify;

pub use effects::{Effects, METADATA};
pub use remote::{Fetched, RemoteKeys};
pub use status::JwtStatus;

use self::extract::Found;
use self::token::Token;
use crate::matching::view::RequestView;
use crate::model::jwks::Jwks;
use crate::model::jwt::{
    Audiences, JwksSource, JwtAuthn, JwtLocation, JwtProvider, JwtRequirement, RemoteJwks, Tolerance,
};
use crate::routing::choose;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    Pass(Effects),
    Deny(JwtStatus),
    /// Keys are on their way for the first time: wait for them, then ask again.
    Wait(Arc<RemoteJwks>),
}

/// Takes out what only this filter may say.
pub fn sanitize(config: &JwtAuthn, headers: &mut HeaderMap) {
    for name in &config.reserved_headers {
        headers.remove(name);
    }
}

/// `now` is since the epoch; the request is already sanitized.
#[must_use]
pub fn check(config: &JwtAuthn, request: &RequestView<'_>, keys: &RemoteKeys, now: Duration) -> Verdict {
    let rule = config.rules.iter().find(|rule| choose::matches(&rule.matcher, request));
    let requirement = rule.and_then(|rule| rule.requirement.as_ref());
    let Some(requirement) = requirement.filter(|_| !(config.bypass_cors_preflight && is_preflight(request)))
    else {
        return Verdict::Pass(Effects::default());
    };
    let mut evaluation = Evaluation::new((config, request), keys, now);
    let result = evaluation.requirement(requirement);
    if let Some(source) = evaluation.waiting {
        return Verdict::Wait(source);
    }
    match result {
        Ok(()) => Verdict::Pass(evaluation.effects),
        Err(status) => Verdict::Deny(status),
    }
}

/// `www-authenticate` of a refusal: the address that was asked for, as RFC 6750 §3 wants a realm.
#[must_use]
pub fn challenge(status: JwtStatus, request: &RequestView<'_>) -> Option<HeaderValue> {
    /// Envoy: a longer path is cut.
    const PATH_BYTES: usize = 256;
    let path = request.path.as_str();
    let path = &path[..path.len().min(PATH_BYTES)]; // paths are ASCII
    // Differs from Envoy: a quote in the query does not end the realm.
    let path = path.replace('"', "%22").replace('\\', "%5C");
    let error = if status == JwtStatus::Missing { "" } else { ", error=\"invalid_token\"" };
    let realm = format!("Bearer realm=\"{}://{}{path}\"{error}", request.scheme, request.authority);
    HeaderValue::try_from(realm).ok()
}

/// Fetch spec: a preflight has both headers.
fn is_preflight(request: &RequestView<'_>) -> bool {
    let has = |name| request.headers.get(name).is_some_and(|value| !value.is_empty());
    request.method == "OPTIONS" && has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD)
}

type Parsed = Result<Arc<Token>, JwtStatus>;

/// One request against one requirement. istiod's tree asks for each provider twice, so results are kept.
struct Evaluation<'a> {
    config: &'a JwtAuthn,
    request: &'a RequestView<'a>,
    keys: &'a RemoteKeys,
    now: Duration,
    tokens: Vec<(Box<str>, Parsed)>,
    providers: Vec<(Arc<str>, Result<(), JwtStatus>)>,
    effects: Effects,
    waiting: Option<Arc<RemoteJwks>>,
}

impl<'a> Evaluation<'a> {
    fn new(
        (config, request): (&'a JwtAuthn, &'a RequestView<'a>),
        keys: &'a RemoteKeys,
        now: Duration,
    ) -> Self {
        Self {
            config,
            request,
            keys,
            now,
            tokens: Vec::new(),
            providers: Vec::new(),
            effects: Effects::default(),
            waiting: None,
        }
    }

    fn requirement(&mut self, requirement: &JwtRequirement) -> Result<(), JwtStatus> {
        match requirement {
            JwtRequirement::Nothing => Ok(()),
            JwtRequirement::Provider { provider, audiences: None } => self.provider_once(provider),
            JwtRequirement::Provider { provider, audiences: Some(audiences) } => {
                self.provider(provider, audiences)
            }
            JwtRequirement::Any { of, tolerates } => self.any(of, *tolerates),
            JwtRequirement::All(all) => all.iter().try_for_each(|one| self.requirement(one)),
            JwtRequirement::Anyone(tolerates) => self.anyone(*tolerates),
        }
    }

    fn any(&mut self, of: &[JwtRequirement], tolerates: Tolerance) -> Result<(), JwtStatus> {
        let mut worst = JwtStatus::Missing;
        for one in of {
            match self.requirement(one) {
                Ok(()) => return Ok(()),
                // Envoy: the last bad token is what the client hears about, else an unknown issuer, else a missing token.
                Err(status) if status.is_of_a_bad_token() || worst == JwtStatus::Missing => worst = status,
                Err(_) => {}
            }
        }
        match tolerates {
            Tolerance::MissingOrFailed => Ok(()),
            Tolerance::Missing if worst == JwtStatus::Missing => Ok(()),
            _ => Err(worst),
        }
    }

    fn provider_once(&mut self, provider: &Arc<JwtProvider>) -> Result<(), JwtStatus> {
        if let Some((_, known)) = self.providers.iter().find(|(name, _)| *name == provider.name) {
            return *known;
        }
        let result = self.provider(provider, &provider.audiences);
        self.providers.push((provider.name.clone(), result));
        result
    }

    /// Every token at the provider's places must be a good one of this provider.
    fn provider(&mut self, provider: &JwtProvider, audiences: &Audiences) -> Result<(), JwtStatus> {
        let found = extract::tokens(&provider.locations, self.request);
        if found.is_empty() {
            return Err(JwtStatus::Missing);
        }
        let mut verified = Vec::with_capacity(found.len());
        for Found { text, location } in &found {
            let token = self.token(text)?;
            if provider.issuer.as_ref().is_some_and(|issuer| **issuer != *token.issuer()) {
                return Err(JwtStatus::UnknownIssuer);
            }
            self.verify(provider, audiences, &token)?;
            verified.push((token, *location));
        }
        for (token, location) in verified {
            self.effects.verified(provider, &token, location);
        }
        Ok(())
    }

    /// Tokens of whichever provider they belong to. Differs from Envoy, where of several tokens only the last one read
    /// decides unless failed ones pass as well.
    fn anyone(&mut self, tolerates: Tolerance) -> Result<(), JwtStatus> {
        let config = self.config;
        let mut places: Vec<JwtLocation> = Vec::new();
        for place in config.providers.iter().flat_map(|provider| &provider.locations) {
            if !places.contains(place) {
                places.push(place.clone());
            }
        }
        for Found { text, location } in extract::tokens(&places, self.request) {
            match (self.token_of_anyone(&text, location), tolerates) {
                (Ok(()), _) | (Err(_), Tolerance::MissingOrFailed) => {}
                (Err(status), _) => return Err(status),
            }
        }
        Ok(())
    }

    fn token_of_anyone(&mut self, text: &str, location: &JwtLocation) -> Result<(), JwtStatus> {
        let token = self.token(text)?;
        let config = self.config;
        let issuer =
            |provider: &JwtProvider| provider.issuer.as_deref().map(|issuer| issuer == token.issuer());
        let here = config.providers.iter().filter(|provider| provider.locations.contains(location));
        if !here.clone().any(|provider| issuer(provider) != Some(false)) {
            return Err(JwtStatus::UnknownIssuer);
        }
        let named = config.providers.iter().find(|provider| issuer(provider) == Some(true));
        let provider = named.or_else(|| config.providers.iter().find(|provider| issuer(provider).is_none()));
        let provider = provider.ok_or(JwtStatus::UnknownIssuer)?;
        self.verify(provider, &provider.audiences, &token)?;
        self.effects.verified(provider, &token, location);
        Ok(())
    }

    /// Parsed once, however many providers look at it.
    fn token(&mut self, text: &str) -> Parsed {
        if let Some((_, known)) = self.tokens.iter().find(|(known, _)| **known == *text) {
            return known.clone();
        }
        let token = token::parse(text).map(Arc::new);
        self.tokens.push((text.into(), token.clone()));
        token
    }

    fn verify(
        &mut self,
        provider: &JwtProvider,
        audiences: &Audiences,
        token: &Token,
    ) -> Result<(), JwtStatus> {
        verify::claims(token, provider, audiences, self.now)?;
        let jwks = self.jwks(&provider.keys)?;
        verify::signature(token, &jwks)
    }

    fn jwks(&mut self, source: &JwksSource) -> Result<Arc<Jwks>, JwtStatus> {
        match source {
            JwksSource::Local(keys) => keys.clone().ok_or(JwtStatus::NoValidKeys),
            JwksSource::Remote(remote) => match self.keys.of(remote) {
                Some(Fetched::Keys(keys)) => Ok(keys.clone()),
                Some(Fetched::Failed) => Err(JwtStatus::FetchFailed),
                None => {
                    self.waiting.get_or_insert_with(|| remote.clone());
                    Err(JwtStatus::FetchFailed)
                }
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
