use super::sample::{ALGORITHMS, base64, header, jwk, key_set, provider, sign};
use super::*;
use crate::matching::view::sample::Sample;
use crate::model::jwt::JwtRule;
use crate::model::matcher::{StringMatcher, StringPattern};
use crate::model::metadata::DynamicMetadata;
use crate::model::route::{PathMatch, RouteMatch};
use base64::Engine as _;
use http::HeaderName;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;

const NOW: Duration = Duration::from_secs(1_000_000);

fn rule(path: PathMatch, requirement: Option<JwtRequirement>) -> JwtRule {
    let matcher =
        RouteMatch { path, headers: Vec::new(), query: Vec::new(), metadata: Vec::new(), grpc: false };
    JwtRule { matcher, requirement }
}

fn of(provider: &Arc<JwtProvider>) -> JwtRequirement {
    JwtRequirement::Provider { provider: provider.clone(), audiences: None }
}

fn filter(providers: &[&Arc<JwtProvider>], requirement: JwtRequirement) -> JwtAuthn {
    JwtAuthn {
        providers: providers.iter().map(|provider| (*provider).clone()).collect(),
        rules: vec![rule(PathMatch::Any, Some(requirement))],
        ..JwtAuthn::default()
    }
}

fn rs256(claims: &Value) -> String {
    sample::token(&header("RS256", &json!({})), claims)
}

/// A request with these bearer tokens.
fn with(tokens: &[&str]) -> Sample {
    let mut sample = Sample::get("/");
    for token in tokens {
        let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        sample.headers.append(http::header::AUTHORIZATION, value);
    }
    sample
}

fn judge(config: &JwtAuthn, request: &Sample) -> Result<Effects, JwtStatus> {
    match check(config, &request.view(), &RemoteKeys::default(), NOW) {
        Verdict::Pass(effects) => Ok(effects),
        Verdict::Deny(status) => Err(status),
        Verdict::Wait(source) => panic!("waits for {source:?}"),
    }
}

fn status(config: &JwtAuthn, tokens: &[&str]) -> Option<JwtStatus> {
    judge(config, &with(tokens)).err()
}

fn with_keys(keys: &[Value]) -> JwtAuthn {
    let keys = JwksSource::Local(Some(Arc::new(key_set(keys))));
    let provider = Arc::new(JwtProvider { keys, ..provider("p", "i") });
    filter(&[&provider], of(&provider))
}

/// Each algorithm verifies what its key signed, and nothing that was changed afterwards.
#[test]
fn every_algorithm() {
    for algorithm in ALGORITHMS {
        for named in [json!({}), json!({ "alg": algorithm })] {
            let config = with_keys(&[jwk(algorithm, &named)]);
            let token = sample::token(&header(algorithm, &json!({})), &json!({"iss": "i", "sub": "s"}));
            assert_eq!(status(&config, &[&token]), None, "{algorithm}");
            let mut sections: Vec<&str> = token.split('.').collect();
            let forged = base64(json!({"iss": "i", "sub": "root"}).to_string());
            sections[1] = &forged;
            assert_eq!(
                status(&config, &[&sections.join(".")]),
                Some(JwtStatus::VerificationFails),
                "{algorithm}"
            );
            let signature = token::BASE64_URL.decode(token.rsplit('.').next().unwrap()).unwrap();
            let signed = token.rsplit_once('.').unwrap().0;
            let cut = format!("{signed}.{}", base64(&signature[1..]));
            assert_eq!(status(&config, &[&cut]), Some(JwtStatus::VerificationFails), "{algorithm}");
        }
    }
}

/// A key verifies its own algorithm only, whatever the token says.
#[test]
fn algorithms_are_not_confused() {
    for algorithm in ALGORITHMS {
        let config = with_keys(&[jwk(algorithm, &json!({ "alg": algorithm }))]);
        for other in ALGORITHMS.into_iter().filter(|other| *other != algorithm) {
            let token = sample::token(&header(other, &json!({})), &json!({"iss": "i"}));
            assert_eq!(status(&config, &[&token]), Some(JwtStatus::NoMatchingKey), "{other} by {algorithm}");
        }
    }
    let text = format!("{}.{}", base64(header("HS256", &json!({})).to_string()), base64(r#"{"iss":"i"}"#));
    let with_public_key = sign(&text, "HS256 with a public key");
    let config = with_keys(&[jwk("RS256", &json!({}))]);
    assert_eq!(status(&config, &[&with_public_key]), Some(JwtStatus::VerificationFails));
}

#[test]
fn keys_are_chosen_by_id() {
    use JwtStatus::{NoMatchingKey, VerificationFails};
    let (mine, other) = (|kid: Value| jwk("RS256", &kid), |kid: Value| jwk("another RSA", &kid));
    let (a, b, none) = (json!({"kid": "a"}), json!({"kid": "b"}), json!({}));
    let cases: Vec<(Vec<Value>, &Value, Option<JwtStatus>)> = vec![
        (vec![mine(a.clone())], &a, None),
        (vec![mine(a.clone())], &none, None),
        (vec![mine(none.clone())], &a, None),
        (vec![mine(a.clone())], &b, Some(NoMatchingKey)),
        (vec![other(a.clone())], &a, Some(VerificationFails)),
        (vec![other(b.clone()), mine(a.clone())], &a, None),
        (vec![other(a.clone()), mine(b.clone())], &a, Some(VerificationFails)),
        (vec![other(b.clone()), mine(a.clone())], &none, None),
        // The same id twice: either may have signed.
        (vec![other(a.clone()), mine(a.clone())], &a, None),
        (vec![jwk("ES256", &a), mine(a.clone())], &a, None),
    ];
    for (keys, kid, expect) in cases {
        let token = sample::token(&header("RS256", kid), &json!({"iss": "i"}));
        assert_eq!(status(&with_keys(&keys), &[&token]), expect, "{keys:?} {kid}");
    }
}

#[test]
fn times_audiences_and_subjects() {
    use JwtStatus::{AudienceNotAllowed, Expired, NotYetValid, UnknownIssuer, VerificationFails};
    let now = NOW.as_secs();
    let plain = || provider("p", "i");
    let audiences =
        |list: &[&str]| Audiences::new(&list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
    let shop = || JwtProvider { audiences: audiences(&["https://shop/"]), ..plain() };
    let day = || JwtProvider { max_lifetime: Some(Duration::from_secs(86_400)), ..plain() };
    let spiffe = || {
        let pattern = StringPattern::Prefix("spiffe://a/".into());
        JwtProvider { subjects: Some(StringMatcher { pattern, ignore_case: false }), ..plain() }
    };
    let cases: Vec<(JwtProvider, Value, Option<JwtStatus>)> = vec![
        (plain(), json!({"iss": "i"}), None),
        (plain(), json!({"iss": "j"}), Some(UnknownIssuer)),
        (plain(), json!({}), Some(UnknownIssuer)),
        (provider("p", ""), json!({"iss": "anyone"}), None),
        (plain(), json!({"iss": "i", "exp": now - 60}), None),
        (plain(), json!({"iss": "i", "exp": now - 61}), Some(Expired)),
        (plain(), json!({"iss": "i", "exp": 0}), Some(Expired)),
        (plain(), json!({"iss": "i", "nbf": now + 60}), None),
        (plain(), json!({"iss": "i", "nbf": now + 61}), Some(NotYetValid)),
        (
            JwtProvider { clock_skew: Duration::from_secs(5), ..plain() },
            json!({"iss": "i", "exp": now - 6}),
            Some(Expired),
        ),
        (shop(), json!({"iss": "i"}), Some(AudienceNotAllowed)),
        (shop(), json!({"iss": "i", "aud": "shop"}), None),
        (shop(), json!({"iss": "i", "aud": ["x", "http://shop"]}), None),
        (shop(), json!({"iss": "i", "aud": "shop2"}), Some(AudienceNotAllowed)),
        (shop(), json!({"iss": "i", "aud": "x", "exp": 1}), Some(Expired)),
        (JwtProvider { require_expiration: true, ..plain() }, json!({"iss": "i"}), Some(VerificationFails)),
        (
            JwtProvider { require_expiration: true, ..plain() },
            json!({"iss": "i", "exp": now + 1e9 as u64}),
            None,
        ),
        (day(), json!({"iss": "i"}), Some(VerificationFails)),
        (day(), json!({"iss": "i", "exp": now + 86_399}), None),
        (day(), json!({"iss": "i", "exp": now + 86_400}), Some(VerificationFails)),
        (spiffe(), json!({"iss": "i", "sub": "spiffe://a/b"}), None),
        (spiffe(), json!({"iss": "i"}), Some(VerificationFails)),
    ];
    for (provider, claims, expect) in cases {
        let provider = Arc::new(provider);
        assert_eq!(status(&filter(&[&provider], of(&provider)), &[&rs256(&claims)]), expect, "{claims}");
    }
}

/// istiod's tree: each provider, or each provider or nothing.
fn istio(providers: &[&Arc<JwtProvider>]) -> JwtAuthn {
    let optional =
        |one: &&Arc<JwtProvider>| JwtRequirement::Any { of: vec![of(one)], tolerates: Tolerance::Missing };
    let mut any: Vec<JwtRequirement> = providers.iter().map(|one| of(one)).collect();
    any.push(JwtRequirement::All(providers.iter().map(optional).collect()));
    filter(providers, JwtRequirement::Any { of: any, tolerates: Tolerance::Nothing })
}

#[test]
fn several_providers_as_istiod_asks_for_them() {
    use JwtStatus::{AudienceNotAllowed, BadFormat, UnknownIssuer};
    let a = Arc::new(JwtProvider { audiences: Audiences::new(&["shop".into()]), ..provider("a", "a") });
    let b = Arc::new(provider("b", "b"));
    let config = istio(&[&a, &b]);
    let token = |claims: Value| rs256(&claims);
    let good_a = token(json!({"iss": "a", "aud": "shop"}));
    let good_b = token(json!({"iss": "b"}));
    let cases: Vec<(Vec<&str>, Option<JwtStatus>)> = vec![
        (vec![], None),
        (vec![&good_a], None),
        (vec![&good_b], None),
        (vec!["x"], Some(BadFormat)),
        (vec![&good_a, "x"], Some(BadFormat)),
        (vec!["x", &good_a], Some(BadFormat)),
        // One issuer's token beside the other's in the same place: neither provider knows both.
        (vec![&good_a, &good_b], Some(UnknownIssuer)),
    ];
    for (tokens, expect) in cases {
        assert_eq!(status(&config, &tokens), expect, "{tokens:?}");
    }
    assert_eq!(status(&config, &[&token(json!({"iss": "c"}))]), Some(UnknownIssuer));
    assert_eq!(status(&config, &[&token(json!({"iss": "a"}))]), Some(AudienceNotAllowed));
}

#[test]
fn requirements() {
    use JwtStatus::{AudienceNotAllowed, BadFormat, Missing, UnknownIssuer};
    let p = Arc::new(provider("p", "i"));
    let q =
        Arc::new(JwtProvider { locations: vec![JwtLocation::Parameter("q".into())], ..provider("q", "j") });
    let tolerant = |tolerates| JwtRequirement::Any { of: vec![of(&p)], tolerates };
    let strict =
        JwtRequirement::Provider { provider: p.clone(), audiences: Some(Audiences::new(&["x".into()])) };
    let anyone = JwtRequirement::Anyone;
    let (good, other) = (rs256(&json!({"iss": "i"})), rs256(&json!({"iss": "nobody"})));
    let cases: Vec<(JwtRequirement, Vec<&str>, Option<JwtStatus>)> = vec![
        (JwtRequirement::Nothing, vec!["x"], None),
        (of(&p), vec![], Some(Missing)),
        (of(&p), vec![&good], None),
        (strict, vec![&good], Some(AudienceNotAllowed)),
        (tolerant(Tolerance::Nothing), vec![], Some(Missing)),
        (tolerant(Tolerance::Missing), vec![], None),
        (tolerant(Tolerance::Missing), vec!["x"], Some(BadFormat)),
        (tolerant(Tolerance::Missing), vec![&other], Some(UnknownIssuer)),
        (tolerant(Tolerance::MissingOrFailed), vec!["x"], None),
        (anyone(Tolerance::Missing), vec![], None),
        (anyone(Tolerance::Missing), vec![&good], None),
        (anyone(Tolerance::Missing), vec![&good, "x"], Some(BadFormat)),
        (anyone(Tolerance::Missing), vec!["x", &good], Some(BadFormat)),
        (anyone(Tolerance::Missing), vec![&other], Some(UnknownIssuer)),
        (anyone(Tolerance::MissingOrFailed), vec!["x", &other], None),
        (JwtRequirement::All(vec![of(&p), of(&q)]), vec![&good], Some(Missing)),
        (JwtRequirement::All(vec![]), vec![], None),
    ];
    for (requirement, tokens, expect) in cases {
        let config = filter(&[&p, &q], requirement);
        assert_eq!(status(&config, &tokens), expect, "{:?} {tokens:?}", config.rules);
    }
    // A token of `j` where only tokens of `i` belong.
    let misplaced = rs256(&json!({"iss": "j"}));
    assert_eq!(status(&filter(&[&p, &q], anyone(Tolerance::Missing)), &[&misplaced]), Some(UnknownIssuer));
}

/// Two tokens for two providers: both leave the request and both sets of claims are known.
#[test]
fn all_of_several_tokens() {
    let p = Arc::new(provider("p", "i"));
    let q = Arc::new(JwtProvider {
        locations: vec![JwtLocation::Parameter("q".into())],
        payload_in_metadata: Some("other".into()),
        ..provider("q", "j")
    });
    let config = filter(&[&p, &q], JwtRequirement::All(vec![of(&p), of(&q)]));
    let (first, second) = (rs256(&json!({"iss": "i"})), rs256(&json!({"iss": "j"})));
    let request = Sample::get(&format!("/?a=1&q={second}"));
    let mut request = Sample { headers: with(&[&first]).headers, ..request };
    let effects = judge(&config, &request).unwrap();
    let mut metadata = DynamicMetadata::default();
    effects.apply(&mut request.headers, &mut request.path, &mut metadata);
    assert_eq!((request.headers.len(), request.path.as_str()), (0, "/?a=1"));
    for key in ["payload", "other"] {
        assert!(metadata.value(METADATA, &[key.into(), "iss".into()]).is_some(), "{key}");
    }
}

#[test]
fn tolerated_failures_leave_no_claims() {
    let p = Arc::new(provider("p", "i"));
    let config = filter(&[&p], JwtRequirement::Anyone(Tolerance::MissingOrFailed));
    let forged = sign(
        &format!("{}.{}", base64(r#"{"alg":"RS256"}"#), base64(r#"{"iss":"i","sub":"root"}"#)),
        "RS256 of another key",
    );
    assert_eq!(judge(&config, &with(&[&forged])), Ok(Effects::default()));
}

#[test]
fn the_first_rule_that_matches_decides() {
    let p = Arc::new(provider("p", "i"));
    let prefix = |prefix: &str| PathMatch::Prefix { prefix: prefix.into(), ignore_case: false };
    let rules = vec![rule(prefix("/health"), None), rule(prefix("/a"), Some(of(&p)))];
    let config = JwtAuthn { rules, ..JwtAuthn::default() };
    for (path, expect) in [("/healthz", None), ("/a", Some(JwtStatus::Missing)), ("/other", None)] {
        assert_eq!(judge(&config, &Sample::get(path)).err(), expect, "{path}");
    }
}

#[test]
fn preflights_need_no_token() {
    let p = Arc::new(provider("p", "i"));
    let preflight = |method| {
        let sample = Sample::get("/").header("origin", "https://x");
        Sample { method, ..sample.header("access-control-request-method", "GET") }
    };
    let cases = [
        (true, preflight("OPTIONS"), None),
        (true, preflight("GET"), Some(JwtStatus::Missing)),
        (true, Sample { method: "OPTIONS", ..Sample::get("/") }, Some(JwtStatus::Missing)),
        (false, preflight("OPTIONS"), Some(JwtStatus::Missing)),
    ];
    for (bypass_cors_preflight, request, expect) in cases {
        let config = JwtAuthn { bypass_cors_preflight, ..filter(&[&p], of(&p)) };
        assert_eq!(judge(&config, &request).err(), expect);
    }
}

#[test]
fn without_usable_keys_nothing_passes() {
    let p = Arc::new(JwtProvider { keys: JwksSource::Local(None), ..provider("p", "i") });
    let good = rs256(&json!({"iss": "i"}));
    assert_eq!(status(&istio(&[&p]), &[&good]), Some(JwtStatus::NoValidKeys));
    assert_eq!(status(&istio(&[&p]), &[]), None);
}

#[test]
fn keys_from_elsewhere() {
    let source = Arc::new(RemoteJwks {
        cluster: "keys".into(),
        authority: "issuer".into(),
        path: "/jwks".into(),
        timeout: Duration::from_secs(5),
        cache_duration: Duration::from_secs(300),
        refetch_after_failure: Duration::from_secs(1),
        retries: 0,
        back_off_base: Duration::ZERO,
        back_off_max: Duration::ZERO,
    });
    let p = Arc::new(JwtProvider { keys: JwksSource::Remote(source.clone()), ..provider("p", "i") });
    let config = istio(&[&p]);
    let (good, bad) = (rs256(&json!({"iss": "i"})), rs256(&json!({"iss": "i", "exp": 1})));
    let judged = |fetched: Option<Fetched>, tokens: &[&str]| {
        let fetched: HashMap<_, _> = fetched.map(|fetched| (source.clone(), fetched)).into_iter().collect();
        match check(&config, &with(tokens).view(), &RemoteKeys { fetched }, NOW) {
            Verdict::Pass(_) => "pass".to_owned(),
            Verdict::Deny(status) => format!("{status:?}"),
            Verdict::Wait(for_what) => format!("wait for {}", for_what.authority),
        }
    };
    let keys = || Some(Fetched::Keys(Arc::new(key_set(&[jwk("RS256", &json!({}))]))));
    let foreign = || Some(Fetched::Keys(Arc::new(key_set(&[jwk("another RSA", &json!({}))]))));
    assert_eq!(judged(None, &[&good]), "wait for issuer");
    assert_eq!(judged(None, &[]), "pass", "without a token no key is needed");
    assert_eq!(judged(None, &[&bad]), "Expired", "nor for a token that is bad anyway");
    assert_eq!(judged(Some(Fetched::Failed), &[&good]), "FetchFailed");
    assert_eq!(judged(keys(), &[&good]), "pass");
    assert_eq!(judged(foreign(), &[&good]), "VerificationFails");
}

#[test]
fn nobody_else_sets_claim_headers() {
    let names = ["x-sub", "x-payload"].map(HeaderName::from_static).to_vec();
    let config = JwtAuthn { reserved_headers: names, ..JwtAuthn::default() };
    let mut sample = Sample::get("/")
        .header("x-sub", "root")
        .header("x-sub", "root")
        .header("x-payload", "e30")
        .header("x", "1");
    sanitize(&config, &mut sample.headers);
    assert_eq!(sample.headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x"]);
}

#[test]
fn challenges() {
    let long = format!("/{}", "a".repeat(300));
    let cases = [
        ("/a?b=c", JwtStatus::Missing, "Bearer realm=\"http://shop:80/a?b=c\"".to_owned()),
        ("/", JwtStatus::Expired, "Bearer realm=\"http://shop:80/\", error=\"invalid_token\"".to_owned()),
        ("/?a=\"x\\", JwtStatus::Missing, "Bearer realm=\"http://shop:80/?a=%22x%5C\"".to_owned()),
        (&long, JwtStatus::Missing, format!("Bearer realm=\"http://shop:80{}\"", &long[..256])),
    ];
    for (target, status, expect) in cases {
        assert_eq!(challenge(status, &Sample::get(target).view()).unwrap(), expect);
    }
}

#[test]
fn refusals() {
    let failure = JwtStatus::Expired.failure();
    assert_eq!((failure.status.as_u16(), &*failure.body), (401, "Jwt is expired"));
    assert_eq!(failure.details, "jwt_authn_access_denied{Jwt_is_expired}");
    assert!(failure.flags.is_empty());
    assert_eq!(JwtStatus::AudienceNotAllowed.failure().status.as_u16(), 403);
}

proptest! {
    /// Nothing but a signed token gets through, and nothing makes the check fail to answer.
    #[test]
    fn rubbish_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120), query in "[!-~]{0,60}") {
        let p = Arc::new(provider("p", "i"));
        let config = filter(&[&p], of(&p));
        let query = query.replace('#', "");
        let mut request = Sample::get(&format!("/?access_token={query}"));
        if let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", &*bytes].concat()) {
            request.headers.insert(http::header::AUTHORIZATION, value);
        }
        prop_assert!(judge(&config, &request).is_err());
    }
}
