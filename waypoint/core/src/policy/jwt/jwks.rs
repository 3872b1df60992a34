//! Reading a key set. Spec: RFC 7517, 7518 §6, 8037; Envoy: `source/common/jwt/jwks.cc`.
//!
//! A key that cannot be used is left out and the others stay (RFC 7517 §5); a set without any usable key is an error,
//! and then no token verifies.

use super::token::BASE64_URL;
use crate::limits::{JWKS_BYTES_MAX, JWKS_KEYS_MAX};
use crate::model::jwks::{Jwk, Jwks, JwtAlgorithm, Verifier};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine as _;
use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    #[error("more than {JWKS_BYTES_MAX} bytes")]
    TooLong,
    #[error("no JSON object")]
    NoJson,
    #[error("no list of [keys]")]
    NoKeys,
    #[error("none of {0} keys can be used")]
    NoValidKeys(usize),
}

/// # Errors
/// When no key can be used.
pub fn parse(text: &[u8]) -> Result<Jwks, JwksError> {
    if text.len() > JWKS_BYTES_MAX {
        return Err(JwksError::TooLong);
    }
    let set: Map<String, Value> = serde_json::from_slice(text).map_err(|_| JwksError::NoJson)?;
    let Some(Value::Array(published)) = set.get("keys") else { return Err(JwksError::NoKeys) };
    let keys: Vec<Jwk> = published.iter().filter_map(key).take(JWKS_KEYS_MAX).collect();
    if keys.is_empty() { Err(JwksError::NoValidKeys(published.len())) } else { Ok(Jwks { keys }) }
}

/// `None` when it cannot be used.
fn key(value: &Value) -> Option<Jwk> {
    let fields = Published(value.as_object()?);
    let named = fields.text("alg").filter(|name| !name.is_empty());
    let algorithm = named.map(JwtAlgorithm::from_name);
    if algorithm == Some(None) {
        return None; // published for something that signs no tokens, e.g. RSA-OAEP
    }
    let algorithm = algorithm.flatten();
    let mut verifiers = match fields.text("kty")? {
        "RSA" => rsa(&fields)?,
        "EC" => elliptic(&fields, algorithm)?,
        "OKP" => edwards(&fields)?,
        "oct" => secret(&fields)?,
        _ => return None,
    };
    verifiers.retain(|(can, _)| algorithm.is_none_or(|only| only == *can));
    let id = fields.text("kid").filter(|id| !id.is_empty()).map(Into::into);
    (!verifiers.is_empty()).then_some(Jwk { id, algorithm, verifiers })
}

struct Published<'a>(&'a Map<String, Value>);

impl<'a> Published<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_str()
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        BASE64_URL.decode(self.text(name)?).ok().filter(|bytes| !bytes.is_empty())
    }

    /// A big-endian number; leading zeros say nothing.
    fn number(&self, name: &str) -> Option<Vec<u8>> {
        let bytes = self.bytes(name)?;
        let start = bytes.iter().position(|byte| *byte != 0)?;
        Some(bytes[start..].to_vec())
    }
}

type Verifiers = Vec<(JwtAlgorithm, Verifier)>;

/// Stricter than Envoy: at least 2048 bits, as RFC 7518 §3.3 asks.
fn rsa(fields: &Published<'_>) -> Option<Verifiers> {
    const BITS_MIN: usize = 2048;
    const BITS_MAX: usize = 8192;
    let (n, e) = (fields.number("n")?, fields.number("e")?);
    let bits = n.len() * 8 - n[0].leading_zeros() as usize;
    // Envoy: no other exponents. With 1, anybody signs.
    let usual = e == [3] || e == [1, 0, 1];
    if !usual || !(BITS_MIN..=BITS_MAX).contains(&bits) {
        return None;
    }
    let parameters: [(JwtAlgorithm, &'static RsaParameters); 6] = [
        (JwtAlgorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256),
        (JwtAlgorithm::Rs384, &RSA_PKCS1_2048_8192_SHA384),
        (JwtAlgorithm::Rs512, &RSA_PKCS1_2048_8192_SHA512),
        (JwtAlgorithm::Ps256, &RSA_PSS_2048_8192_SHA256),
        (JwtAlgorithm::Ps384, &RSA_PSS_2048_8192_SHA384),
        (JwtAlgorithm::Ps512, &RSA_PSS_2048_8192_SHA512),
    ];
    let components = RsaPublicKeyComponents { n, e };
    let parse = |(algorithm, parameters): (JwtAlgorithm, &'static RsaParameters)| {
        let key = components.to_parsed_public_key(parameters).ok()?;
        Some((algorithm, Verifier::Public(key)))
    };
    parameters.into_iter().map(parse).collect()
}

/// One curve, one algorithm. Envoy: without `crv` the algorithm says the curve, without both it is P-256.
fn elliptic(fields: &Published<'_>, algorithm: Option<JwtAlgorithm>) -> Option<Verifiers> {
    let curve = match (fields.text("crv"), algorithm) {
        (Some(curve), _) => curve,
        (None, None | Some(JwtAlgorithm::Es256)) => "P-256",
        (None, Some(JwtAlgorithm::Es384)) => "P-384",
        (None, Some(JwtAlgorithm::Es512)) => "P-521",
        (None, Some(_)) => return None,
    };
    let (algorithm, parameters, length): (_, &'static dyn VerificationAlgorithm, usize) = match curve {
        "P-256" => (JwtAlgorithm::Es256, &ECDSA_P256_SHA256_FIXED, 32),
        "P-384" => (JwtAlgorithm::Es384, &ECDSA_P384_SHA384_FIXED, 48),
        "P-521" => (JwtAlgorithm::Es512, &ECDSA_P521_SHA512_FIXED, 66),
        _ => return None,
    };
    // SEC 1: 4, then both coordinates at full length.
    let mut point = vec![4];
    for coordinate in [fields.number("x")?, fields.number("y")?] {
        let missing = length.checked_sub(coordinate.len())?;
        point.resize(point.len() + missing, 0);
        point.extend(coordinate);
    }
    one(algorithm, parameters, &point)
}

fn edwards(fields: &Published<'_>) -> Option<Verifiers> {
    if fields.text("crv")? != "Ed25519" {
        return None;
    }
    one(JwtAlgorithm::EdDsa, &ED25519, &fields.bytes("x").filter(|point| point.len() == 32)?)
}

fn one(
    algorithm: JwtAlgorithm,
    parameters: &'static dyn VerificationAlgorithm,
    bytes: &[u8],
) -> Option<Verifiers> {
    let key = ParsedPublicKey::new(parameters, bytes).ok()?;
    Some(vec![(algorithm, Verifier::Public(key))])
}

fn secret(fields: &Published<'_>) -> Option<Verifiers> {
    let secret = fields.bytes("k")?;
    let key = |algorithm, digest| (algorithm, Verifier::Secret(hmac::Key::new(digest, &secret)));
    Some(vec![
        key(JwtAlgorithm::Hs256, hmac::HMAC_SHA256),
        key(JwtAlgorithm::Hs384, hmac::HMAC_SHA384),
        key(JwtAlgorithm::Hs512, hmac::HMAC_SHA512),
    ])
}

#[cfg(test)]
mod tests;
