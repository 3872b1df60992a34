use super::*;
use crate::policy::jwt::sample::{self, base64};
use proptest::prelude::*;
use serde_json::json;

/// A token of these two texts, with some signature.
fn of(header: &str, claims: &str) -> String {
    format!("{}.{}.c2ln", base64(header), base64(claims))
}

const HEADER: &str = r#"{"alg":"RS256"}"#;

#[test]
fn what_is_no_token() {
    use JwtStatus as S;
    let oversize = of(HEADER, &format!("{{\"a\":\"{}\"}}", "x".repeat(JWT_BYTES_MAX)));
    let deep = of(HEADER, &format!("{{\"a\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000)));
    let good = of(HEADER, "{}");
    let cases: Vec<(String, S)> = vec![
        (String::new(), S::BadFormat),
        ("abc".into(), S::BadFormat),
        ("..".into(), S::BadFormat),
        ("a.b".into(), S::BadFormat),
        (good.trim_end_matches("c2ln").into(), S::BadFormat),
        (good.replacen('.', "..", 1), S::BadFormat),
        (format!("{good}.e30"), S::BadFormat),
        (format!(".{good}"), S::BadFormat),
        (oversize, S::BadFormat),
        ("a b.e30.c2ln".into(), S::HeaderBadBase64),
        ("+/+/.e30.c2ln".into(), S::HeaderBadBase64),
        ("eyJ9Z.e30.c2ln".into(), S::HeaderBadBase64),
        (of("[]", "{}"), S::HeaderBadJson),
        (of("{", "{}"), S::HeaderBadJson),
        (of(r#"{"alg":"RS256","alg":"HS256"}"#, "{}"), S::HeaderBadJson),
        (of("{}", "{}"), S::HeaderBadAlgorithm),
        (of(r#"{"alg":1}"#, "{}"), S::HeaderBadAlgorithm),
        (of(r#"{"alg":"none"}"#, "{}"), S::HeaderUnsupportedAlgorithm),
        (of(r#"{"alg":""}"#, "{}"), S::HeaderUnsupportedAlgorithm),
        (of(r#"{"alg":"rs256"}"#, "{}"), S::HeaderUnsupportedAlgorithm),
        (of(r#"{"alg":"RSA-OAEP"}"#, "{}"), S::HeaderUnsupportedAlgorithm),
        (of(r#"{"alg":"RS256","kid":7}"#, "{}"), S::HeaderBadKeyId),
        (of(r#"{"alg":"RS256","crit":["exp"]}"#, "{}"), S::HeaderCritical),
        (format!("{}.e3=0.c2ln", base64(HEADER)), S::PayloadBadBase64),
        (of(HEADER, "null"), S::PayloadBadJson),
        (of(HEADER, r#"{"sub":"a","sub":"b"}"#), S::PayloadBadJson),
        (deep, S::PayloadBadJson),
        (of(HEADER, r#"{"iss":1}"#), S::IssuerNotString),
        (of(HEADER, r#"{"sub":null}"#), S::SubjectNotString),
        (of(HEADER, r#"{"iat":"now"}"#), S::IssuedAtNotInteger),
        (of(HEADER, r#"{"iat":-1}"#), S::IssuedAtOutOfRange),
        (of(HEADER, r#"{"nbf":[]}"#), S::NotBeforeNotInteger),
        (of(HEADER, r#"{"nbf":1e300}"#), S::NotBeforeOutOfRange),
        (of(HEADER, r#"{"exp":true}"#), S::ExpirationNotInteger),
        (of(HEADER, r#"{"exp":-0.5}"#), S::ExpirationOutOfRange),
        (of(HEADER, r#"{"jti":{}}"#), S::IdNotString),
        (of(HEADER, r#"{"aud":{}}"#), S::AudienceNotString),
        (of(HEADER, r#"{"aud":["a",1]}"#), S::AudienceNotString),
        (good.replace("c2ln", "c2l"), S::SignatureBadBase64),
        (good.replace("c2ln", "c2 n"), S::SignatureBadBase64),
    ];
    for (text, expect) in cases {
        assert_eq!(parse(&text).err(), Some(expect), "{}", &text[..text.len().min(80)]);
    }
}

#[test]
fn what_a_token_says() {
    let header = sample::header("ES256", &json!({"kid": "k"}));
    let claims = json!({"iss": "i", "sub": "s", "aud": ["a", "b"], "nbf": 1.9, "exp": 0, "x": {"y": [1]}});
    let text = format!("{}.{}.c2ln", base64(header.to_string()), base64(claims.to_string()));
    let token = parse(&text).unwrap();
    assert_eq!((token.algorithm, token.key_id.as_deref()), (JwtAlgorithm::Es256, Some("k")));
    assert_eq!((token.issuer(), token.subject()), ("i", "s"));
    assert_eq!((token.not_before, token.expires), (Some(1), Some(0)));
    assert_eq!(token.audiences, ["a".into(), "b".into()]);
    assert_eq!(token.signature, b"sig");
    assert_eq!(token.signed(), text.rsplit_once('.').unwrap().0.as_bytes());
    assert_eq!(token.payload(), text.split('.').nth(1).unwrap());
    let bare = parse(&of(HEADER, "{}")).unwrap();
    assert_eq!((bare.issuer(), &bare.key_id, bare.expires), ("", &None, None));
    let padded =
        parse(&format!("{}==.e30=.c2ln", base64(r#"{"alg":"HS256"} "#))).map(|token| token.algorithm);
    assert_eq!(padded, Ok(JwtAlgorithm::Hs256), "padding is optional");
    assert_eq!(parse(&of(r#"{"alg":"RS256","kid":""}"#, "{}")).unwrap().key_id, None);
}

proptest! {
    /// Whatever comes, reading it ends, and what is read is where it says.
    #[test]
    fn reading_never_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn reading_nearly_tokens_never_panics(
        header in "\\{\"alg\":(\"RS256\"|\"none\"|1)(,\"kid\":\"[a-z]{0,3}\")?\\}",
        claims in "\\{(\"(iss|sub|aud|exp|nbf)\":(\"[a-z]{0,3}\"|-?[0-9]{1,25}|\\[\\]|null))?\\}",
        signature in "[A-Za-z0-9_-]{0,20}",
        cut in 0_usize..200,
    ) {
        let text = format!("{}.{}.{signature}", base64(header), base64(claims));
        if let Ok(token) = parse(&text) {
            prop_assert!(text.as_bytes().starts_with(token.signed()));
            prop_assert!(text.contains(token.payload()));
        }
        let _ = parse(&text[..cut.min(text.len())]);
    }
}
