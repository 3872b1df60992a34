use super::*;
use crate::matching::path::{PathOutcome, normalize};
use crate::model::http_chain::PathNormalization;
use crate::model::jwt::PayloadHeader;
use crate::policy::jwt::sample::{base64, provider};
use crate::policy::jwt::token;
use http::header::{AUTHORIZATION, COOKIE};
use serde_json::{Value, json};

fn claim(name: &'static str, path: &[&str]) -> ClaimHeader {
    ClaimHeader { name: HeaderName::from_static(name), path: path.iter().map(|key| (*key).into()).collect() }
}

fn token_of(claims: &Value) -> Token {
    token::parse(&format!("{}.{}.c2ln", base64(r#"{"alg":"RS256"}"#), base64(claims.to_string()))).unwrap()
}

fn path(target: &str) -> NormalizedPath {
    match normalize(target, &PathNormalization::default()) {
        Ok(PathOutcome::Path(path)) => path,
        other => panic!("{other:?}"),
    }
}

/// What a request becomes by one token taken from `location`.
fn applied(
    provider: &JwtProvider,
    claims: &Value,
    location: &JwtLocation,
    mut headers: HeaderMap,
    target: &str,
) -> (HeaderMap, String, DynamicMetadata) {
    let mut effects = Effects::default();
    effects.verified(provider, &token_of(claims), location);
    let (mut path, mut metadata) = (path(target), DynamicMetadata::default());
    effects.apply(&mut headers, &mut path, &mut metadata);
    (headers, path.as_str().to_owned(), metadata)
}

#[test]
fn claims_become_headers() {
    let claims = json!({
        "sub": "alice", "n": 7, "big": 1e18, "half": 1.5, "negative": -2, "yes": true, "null": null, "empty": "",
        "umlaut": "ä", "line": "a\r\nb: c", "list": ["a", 1], "nested": {"team": "core"}, "a.b": {"c.d": "dotted"},
    });
    let cases: [(&[&str], Option<&[u8]>); 16] = [
        (&["sub"], Some(b"alice")),
        (&["n"], Some(b"7")),
        (&["big"], Some(b"1000000000000000000")),
        (&["half"], Some(b"1.500000")),
        (&["negative"], Some(b"-2.000000")),
        (&["yes"], Some(b"true")),
        (&["null"], None),
        (&["empty"], None),
        (&["umlaut"], Some("ä".as_bytes())),
        (&["line"], None),
        (&["list"], Some(b"WyJhIiwxXQ==")),
        (&["nested"], Some(b"eyJ0ZWFtIjoiY29yZSJ9")),
        (&["nested", "team"], Some(b"core")),
        (&["a.b", "c.d"], Some(b"dotted")),
        (&["sub", "team"], None),
        (&["missing"], None),
    ];
    for (path, expect) in cases {
        let provider = JwtProvider { claim_headers: vec![claim("x-claim", path)], ..provider("p", "i") };
        let at = JwtLocation::Cookie("c".into());
        let (headers, ..) = applied(&provider, &claims, &at, HeaderMap::new(), "/");
        assert_eq!(headers.get("x-claim").map(HeaderValue::as_bytes), expect, "{path:?}");
    }
}

#[test]
fn the_payload_is_passed_on_as_it_came() {
    for (padded, claims, expect) in [
        (false, json!({"a": 1}), "eyJhIjoxfQ"),
        (true, json!({"a": 1}), "eyJhIjoxfQ=="),
        (true, json!({}), "e30="),
    ] {
        let payload_header = Some(PayloadHeader { name: HeaderName::from_static("x-payload"), padded });
        let provider = JwtProvider { payload_header, ..provider("p", "i") };
        let at = JwtLocation::Cookie("c".into());
        let (headers, ..) = applied(&provider, &claims, &at, HeaderMap::new(), "/");
        assert_eq!(headers["x-payload"], expect);
    }
}

#[test]
fn tokens_leave_unless_they_are_forwarded() {
    let bearer = JwtLocation::Header { name: AUTHORIZATION, prefix: "Bearer ".into() };
    let cases = [
        (bearer, (false, "/?a=1&token=x&b&token=y")),
        (JwtLocation::Parameter("token".into()), (true, "/?a=1&b")),
        (JwtLocation::Cookie("token".into()), (true, "/?a=1&token=x&b&token=y")),
    ];
    for (location, (kept, target)) in cases {
        for forward in [false, true] {
            let provider = JwtProvider { forward, ..provider("p", "i") };
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
            headers.insert(COOKIE, HeaderValue::from_static("token=x"));
            let whole = "/?a=1&token=x&b&%74oken=y";
            let (headers, path, _) = applied(&provider, &json!({}), &location, headers, whole);
            let expect = if forward || target.contains("token") { whole } else { target };
            assert_eq!((headers.contains_key(AUTHORIZATION), path.as_str()), (kept || forward, expect));
            assert!(headers.contains_key(COOKIE));
        }
    }
    let provider = provider("p", "i");
    let only = JwtLocation::Parameter("token".into());
    assert_eq!(applied(&provider, &json!({}), &only, HeaderMap::new(), "/a?token=x").1, "/a");
}

#[test]
fn claims_and_header_go_into_metadata() {
    let provider = JwtProvider {
        header_in_metadata: Some("header".into()),
        space_delimited_claims: vec!["scope".into(), "permission".into(), "n".into(), "blank".into()],
        ..provider("p", "i")
    };
    let claims = json!({"sub": "s", "scope": " read  write ", "permission": ["x"], "n": 1, "blank": " "});
    let at = JwtLocation::Cookie("c".into());
    let (.., metadata) = applied(&provider, &claims, &at, HeaderMap::new(), "/");
    let text = |path: &[&str]| {
        let path: Vec<Box<str>> = path.iter().map(|key| (*key).into()).collect();
        metadata.value(METADATA, &path).map(json::text)
    };
    let expect = r#"{"blank":" ","n":1,"permission":["x"],"scope":["read","write"],"sub":"s"}"#;
    assert_eq!(text(&["payload"]).as_deref(), Some(expect));
    assert_eq!(text(&["header", "alg"]).as_deref(), Some("\"RS256\""));
}

#[test]
fn routes_are_chosen_again_where_claims_can_lead() {
    let sub = || vec![claim("x-sub", &["sub"])];
    let missing = || vec![claim("x-sub", &["missing"])];
    let cases = [
        (true, Some("payload"), vec![], true),
        (true, None, sub(), true),
        (true, None, missing(), false),
        (true, None, vec![], false),
        (false, Some("payload"), sub(), false),
    ];
    for (clear_route_cache, payload, claim_headers, expect) in cases {
        let provider = JwtProvider {
            clear_route_cache,
            payload_in_metadata: payload.map(Into::into),
            claim_headers,
            ..provider("p", "i")
        };
        let mut effects = Effects::default();
        effects.verified(&provider, &token_of(&json!({"sub": "s"})), &JwtLocation::Cookie("c".into()));
        assert_eq!((effects.reroute(), effects.change_request()), (expect, true));
    }
}
