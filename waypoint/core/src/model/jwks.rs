//! Keys that verify tokens, ready to use. Spec: RFC 7517, 7518, 8037.
//!
//! Invariant: a key verifies only the algorithms listed with it, so a token's `alg` can never make a key do something
//! it was not published for (a public RSA key used as an HMAC secret, above all).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    Hs256,
    Hs384,
    Hs512,
    EdDsa,
}

impl JwtAlgorithm {
    /// `none` is not among them.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, Default)]
pub struct Jwks {
    /// In the order they were published.
    pub keys: Vec<Jwk>,
}

#[derive(Clone, Debug)]
pub struct Jwk {
    /// `None` fits every token.
    pub id: Option<Box<str>>,
    /// What it was published for; `None`: whatever its type can do.
    pub algorithm: Option<JwtAlgorithm>,
    pub verifiers: Vec<(JwtAlgorithm, Verifier)>,
}

#[derive(Clone)]
pub enum Verifier {
    Public(ParsedPublicKey),
    Secret(hmac::Key),
}

/// Key material does not belong into logs.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public(_) => "Public",
            Self::Secret(_) => "Secret",
        })
    }
}
