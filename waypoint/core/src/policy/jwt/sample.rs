//! Keys, tokens and filters as tests write them. Keys are made once per test process.

use super::jwks;
use crate::limits::JWT_CLOCK_SKEW;
use crate::model::jwks::Jwks;
use crate::model::jwt::{Audiences, JwksSource, JwtLocation, JwtProvider};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

pub(crate) const ALGORITHMS: [&str; 13] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384",
    "HS512", "EdDSA",
];

/// Of `HS*`; what an attacker knows of other keys is not this.
pub(crate) const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";

static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static OTHER_RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static P256: LazyLock<EcdsaKeyPair> = LazyLock::new(|| elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING));
static P384: LazyLock<EcdsaKeyPair> = LazyLock::new(|| elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING));
static P521: LazyLock<EcdsaKeyPair> = LazyLock::new(|| elliptic(&ECDSA_P521_SHA512_FIXED_SIGNING));
static EDWARDS: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

fn elliptic(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    EcdsaKeyPair::generate(algorithm).unwrap()
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A header of this algorithm, and what else it says.
pub(crate) fn header(algorithm: &str, more: &Value) -> Value {
    let mut header = json!({"alg": algorithm, "typ": "JWT"});
    header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    header
}

/// Signed as the header says, by the key of that kind.
pub(crate) fn token(header: &Value, claims: &Value) -> String {
    sign(
        &format!("{}.{}", base64(header.to_string()), base64(claims.to_string())),
        header["alg"].as_str().unwrap(),
    )
}

pub(crate) fn sign(text: &str, algorithm: &str) -> String {
    let signed = text.as_bytes();
    let rsa = |key: &RsaKeyPair, encoding: &'static dyn RsaEncoding| {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), signed, &mut signature).unwrap();
        signature
    };
    let ec = |key: &EcdsaKeyPair| key.sign(&SystemRandom::new(), signed).unwrap().as_ref().to_vec();
    let mac = |by| hmac::sign(&hmac::Key::new(by, SECRET), signed).as_ref().to_vec();
    let signature = match algorithm {
        "RS256" => rsa(&RSA, &RSA_PKCS1_SHA256),
        "RS384" => rsa(&RSA, &RSA_PKCS1_SHA384),
        "RS512" => rsa(&RSA, &RSA_PKCS1_SHA512),
        "PS256" => rsa(&RSA, &RSA_PSS_SHA256),
        "PS384" => rsa(&RSA, &RSA_PSS_SHA384),
        "PS512" => rsa(&RSA, &RSA_PSS_SHA512),
        "RS256 of another key" => rsa(&OTHER_RSA, &RSA_PKCS1_SHA256),
        "ES256" => ec(&P256),
        "ES384" => ec(&P384),
        "ES512" => ec(&P521),
        "HS256" => mac(hmac::HMAC_SHA256),
        "HS384" => mac(hmac::HMAC_SHA384),
        "HS512" => mac(hmac::HMAC_SHA512),
        "EdDSA" => EDWARDS.sign(signed).as_ref().to_vec(),
        // What every reader of the key set can compute.
        "HS256 with a public key" => {
            let known = base64(modulus(&RSA));
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, known.as_bytes()), signed).as_ref().to_vec()
        }
        _ => digest::digest(&digest::SHA256, signed).as_ref().to_vec(),
    };
    format!("{text}.{}", base64(signature))
}

/// DER: two lengths and a sign byte before the 256 bytes of the modulus, then the exponent.
fn modulus(key: &RsaKeyPair) -> Vec<u8> {
    let der = key.public_key().as_ref();
    assert_eq!((der.len(), &der[..9]), (270, &[0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0][..]));
    der[9..265].to_vec()
}

fn point(curve: &str, key: &EcdsaKeyPair) -> Value {
    let coordinates = &key.public_key().as_ref()[1..];
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    json!({"kty": "EC", "crv": curve, "x": base64(x), "y": base64(y)})
}

/// The public key that verifies an algorithm.
pub(crate) fn jwk(algorithm: &str, more: &Value) -> Value {
    let mut key = match algorithm {
        "ES256" => point("P-256", &P256),
        "ES384" => point("P-384", &P384),
        "ES512" => point("P-521", &P521),
        "EdDSA" => json!({"kty": "OKP", "crv": "Ed25519", "x": base64(EDWARDS.public_key())}),
        "another RSA" => json!({"kty": "RSA", "n": base64(modulus(&OTHER_RSA)), "e": "AQAB"}),
        name if name.starts_with("HS") => json!({"kty": "oct", "k": base64(SECRET)}),
        _ => json!({"kty": "RSA", "n": base64(modulus(&RSA)), "e": "AQAB"}),
    };
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    key
}

pub(crate) fn key_set(keys: &[Value]) -> Jwks {
    jwks::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

/// Takes `Bearer` tokens of `issuer` signed by the RSA key, and puts claims into metadata as istiod wants.
pub(crate) fn provider(name: &str, issuer: &str) -> JwtProvider {
    JwtProvider {
        name: name.into(),
        issuer: Some(issuer).filter(|issuer| !issuer.is_empty()).map(Into::into),
        audiences: Audiences::default(),
        subjects: None,
        require_expiration: false,
        max_lifetime: None,
        clock_skew: JWT_CLOCK_SKEW,
        keys: JwksSource::Local(Some(Arc::new(key_set(&[jwk("RS256", &json!({}))])))),
        locations: vec![
            JwtLocation::Header { name: AUTHORIZATION, prefix: "Bearer ".into() },
            JwtLocation::Parameter("access_token".into()),
        ],
        forward: false,
        payload_header: None,
        claim_headers: Vec::new(),
        payload_in_metadata: Some("payload".into()),
        header_in_metadata: None,
        space_delimited_claims: Vec::new(),
        clear_route_cache: true,
    }
}
