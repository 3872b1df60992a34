use super::*;
use crate::policy::jwt::sample::{base64, jwk};
use proptest::prelude::*;
use serde_json::json;

/// `kid:ALGORITHM,…` for each key.
fn summary(result: &Result<Jwks, JwksError>) -> String {
    let key = |key: &Jwk| {
        let can: Vec<String> = key.verifiers.iter().map(|(algorithm, _)| format!("{algorithm:?}")).collect();
        format!("{}:{}", key.id.as_deref().unwrap_or("-"), can.join(","))
    };
    match result {
        Ok(jwks) => jwks.keys.iter().map(key).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    }
}

fn check(keys: &Value, expect: &str) {
    assert_eq!(summary(&parse(json!({ "keys": keys }).to_string().as_bytes())), expect, "{keys}");
}

#[test]
fn every_type_of_key() {
    let none = json!({});
    check(&json!([jwk("RS256", &none)]), "-:Rs256,Rs384,Rs512,Ps256,Ps384,Ps512");
    check(&json!([jwk("RS256", &json!({"alg": "PS384", "kid": "a"}))]), "a:Ps384");
    check(&json!([jwk("ES256", &none), jwk("ES384", &none), jwk("ES512", &none)]), "-:Es256 -:Es384 -:Es512");
    check(&json!([jwk("EdDSA", &json!({"alg": "EdDSA"}))]), "-:EdDsa");
    check(&json!([jwk("HS256", &none)]), "-:Hs256,Hs384,Hs512");
    // The same id twice: both may have signed.
    check(
        &json!([jwk("ES256", &json!({"kid": "k"})), jwk("EdDSA", &json!({"kid": "k"}))]),
        "k:Es256 k:EdDsa",
    );
}

#[test]
fn unusable_keys_are_left_out() {
    let one = "none of 1 keys can be used";
    let with = |name: &str, field: &str, value: Value| {
        let mut key = jwk(name, &json!({}));
        key[field] = value;
        json!([key])
    };
    let small = [0xff; 128]; // 1024 bits
    let cases = [
        (json!([]), "none of 0 keys can be used"),
        (json!([1, "x", null, {}]), "none of 4 keys can be used"),
        (with("RS256", "kty", json!("PKCS7")), one),
        (with("RS256", "kty", json!(1)), one),
        (with("RS256", "alg", json!("RSA-OAEP")), one),
        (with("RS256", "alg", json!("ES256")), one),
        (with("RS256", "alg", json!("HS256")), one),
        (with("RS256", "n", json!("")), one),
        (with("RS256", "n", json!("!")), one),
        (with("RS256", "n", json!(base64(small))), one),
        (with("RS256", "e", json!("AA")), one),
        (with("RS256", "e", json!("AQ")), one),
        (with("ES256", "x", json!(base64([1; 32]))), one),
        (with("ES256", "x", json!(base64([1; 33]))), one),
        (with("ES256", "crv", json!("P-384")), one),
        (with("ES256", "crv", json!("secp256k1")), one),
        (with("ES256", "alg", json!("ES384")), one),
        (with("EdDSA", "crv", json!("X25519")), one),
        (with("EdDSA", "x", json!(base64([7; 31]))), one),
        (with("HS256", "k", json!("")), one),
        (with("HS256", "alg", json!("RS256")), one),
    ];
    for (keys, expect) in cases {
        check(&keys, expect);
    }
    check(&json!([{"kty": "new"}, jwk("EdDSA", &json!({"kid": "good"}))]), "good:EdDsa");
}

#[test]
fn leading_zeros_of_numbers_do_not_matter() {
    let mut key = jwk("RS256", &json!({"alg": "RS256"}));
    let n = BASE64_URL.decode(key["n"].as_str().unwrap()).unwrap();
    key["n"] = json!(base64([&[0, 0][..], &n].concat()));
    key["e"] = json!(base64([0, 1, 0, 1]));
    check(&json!([key]), "-:Rs256");
}

#[test]
fn what_is_no_set_of_keys() {
    let huge = vec![b' '; JWKS_BYTES_MAX + 1];
    let deep = "[".repeat(100_000);
    let cases: Vec<(&[u8], &str)> = vec![
        (b"", "no JSON object"),
        (b"<html>", "no JSON object"),
        (b"[]", "no JSON object"),
        (b"{}", "no list of [keys]"),
        (br#"{"keys":{}}"#, "no list of [keys]"),
        (deep.as_bytes(), "no JSON object"),
        (&huge, "more than 1048576 bytes"),
    ];
    for (text, expect) in cases {
        assert_eq!(summary(&parse(text)), expect);
    }
}

#[test]
fn a_set_has_a_bounded_number_of_keys() {
    let keys: Vec<Value> = (0..=JWKS_KEYS_MAX).map(|_| jwk("HS256", &json!({}))).collect();
    let set = parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert_eq!(set.keys.len(), JWKS_KEYS_MAX);
}

#[test]
fn keys_are_not_printed() {
    let set = parse(json!({"keys": [jwk("HS256", &json!({}))]}).to_string().as_bytes()).unwrap();
    let text = format!("{set:?}");
    assert!(text.contains("Secret") && !text.contains("thirty"), "{text}");
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn reading_nearly_keys_never_panics(
        kty in "RSA|EC|OKP|oct",
        crv in "P-256|P-384|P-521|Ed25519",
        n in "[A-Za-z0-9_-]{0,90}",
        e in "[A-Za-z0-9_-]{0,90}",
    ) {
        let key = json!({"kty": kty, "crv": crv, "n": n, "e": e, "x": n, "y": e, "k": n});
        let _ = parse(json!({"keys": [key]}).to_string().as_bytes());
    }
}
