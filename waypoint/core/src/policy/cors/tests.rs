use super::*;
use crate::matching::regex::compile;
use crate::matching::view::sample::Sample;
use crate::model::matcher::{StringMatcher, StringPattern};

fn cors(origins: Vec<StringPattern>) -> Cors {
    Cors {
        allow_origins: origins
            .into_iter()
            .map(|pattern| StringMatcher { pattern, ignore_case: false })
            .collect(),
        allow_methods: Some(HeaderValue::from_static("GET,POST")),
        allow_headers: Some(HeaderValue::from_static("x-custom")),
        expose_headers: Some(HeaderValue::from_static("x-exposed")),
        max_age: Some(HeaderValue::from_static("86400")),
        allow_credentials: true,
        forward_not_matching_preflights: true,
    }
}

fn request(method: &'static str, origin: Option<&'static str>, asks: bool) -> Sample {
    let mut sample = Sample { method, ..Sample::get("/") };
    if let Some(origin) = origin {
        sample = sample.header("origin", origin);
    }
    if asks { sample.header("access-control-request-method", "PUT") } else { sample }
}

#[test]
fn decisions() {
    let rules = cors(vec![
        StringPattern::Exact("https://example.com".into()),
        StringPattern::Regex(compile(r"https://[a-z]+\.example\.org").unwrap()),
    ]);
    let example = || HeaderValue::from_static("https://example.com");
    let cases = [
        ("OPTIONS", Some("https://example.com"), true, CorsDecision::Preflight { origin: Some(example()) }),
        (
            "OPTIONS",
            Some("https://a.example.org"),
            true,
            CorsDecision::Preflight { origin: Some(HeaderValue::from_static("https://a.example.org")) },
        ),
        ("OPTIONS", Some("https://example.com"), false, CorsDecision::Apply { origin: example() }),
        ("GET", Some("https://example.com"), true, CorsDecision::Apply { origin: example() }),
        ("OPTIONS", Some("https://evil.test"), true, CorsDecision::Ignore),
        ("GET", Some("https://a.example.org.evil.test"), false, CorsDecision::Ignore),
        ("GET", Some("https://example.com.evil"), false, CorsDecision::Ignore),
        ("GET", Some("HTTPS://EXAMPLE.COM"), false, CorsDecision::Ignore),
        ("GET", Some(""), false, CorsDecision::Ignore),
        ("OPTIONS", None, true, CorsDecision::Ignore),
    ];
    for (method, origin, asks, expect) in cases {
        let sample = request(method, origin, asks);
        assert_eq!(decide(&rules, &sample.view()), expect, "{method} {origin:?}");
    }
}

#[test]
fn preflights_that_do_not_match_can_end_here() {
    let strict = Cors {
        forward_not_matching_preflights: false,
        ..cors(vec![StringPattern::Exact("https://a".into())])
    };
    let refused = request("OPTIONS", Some("https://b"), true);
    assert_eq!(decide(&strict, &refused.view()), CorsDecision::Preflight { origin: None });
    let simple = request("GET", Some("https://b"), false);
    assert_eq!(decide(&strict, &simple.view()), CorsDecision::Ignore);
}

#[test]
fn a_star_admits_everybody() {
    let open = cors(vec![StringPattern::Exact("*".into())]);
    let sample = request("GET", Some("https://any"), false);
    assert_eq!(
        decide(&open, &sample.view()),
        CorsDecision::Apply { origin: HeaderValue::from_static("https://any") }
    );
}

#[test]
fn headers_replace_the_upstreams() {
    let rules = cors(vec![]);
    let origin = HeaderValue::from_static("https://example.com");
    let mut headers = HeaderMap::new();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response_headers(&rules, &origin, &mut headers);
    let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://example.com");
    assert_eq!(names.len(), 3, "{names:?}");
    preflight_headers(&rules, Some(&origin), &HeaderMap::new(), &mut headers);
    for (name, value) in [
        ("access-control-allow-origin", "https://example.com"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET,POST"),
        ("access-control-allow-headers", "x-custom"),
        ("access-control-expose-headers", "x-exposed"),
        ("access-control-max-age", "86400"),
    ] {
        assert_eq!(headers[name], value);
    }
}

fn preflight(rules: &Cors, origin: Option<&'static str>, asked: &[(HeaderName, &'static str)]) -> String {
    let asked = asked
        .iter()
        .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
        .collect::<HeaderMap>();
    let mut headers = HeaderMap::new();
    preflight_headers(rules, origin.map(HeaderValue::from_static).as_ref(), &asked, &mut headers);
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
    lines.sort();
    lines.join(" ").replace("access-control-", "")
}

#[test]
fn stars_are_answered_with_what_was_asked_for() {
    let open = Cors {
        allow_methods: Some(HeaderValue::from_static("*")),
        allow_headers: Some(HeaderValue::from_static("*")),
        ..cors(vec![])
    };
    let (method, names) = (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS);
    assert_eq!(
        preflight(&open, Some("https://a"), &[(method.clone(), "PUT"), (names.clone(), "x-a, x-b")]),
        "allow-credentials=true allow-headers=x-a, x-b allow-methods=PUT allow-origin=https://a \
         expose-headers=x-exposed max-age=86400"
    );
    assert!(preflight(&open, Some("https://a"), &[(method.clone(), "PUT")]).contains("allow-headers= "));
    let listed = preflight(&cors(vec![]), Some("https://a"), &[(method, "PUT"), (names, "x-a")]);
    assert!(listed.contains("allow-headers=x-custom allow-methods=GET,POST"), "{listed}");
}

#[test]
fn a_stranger_is_told_everything_but_its_origin() {
    assert_eq!(
        preflight(&cors(vec![]), None, &[(ACCESS_CONTROL_REQUEST_METHOD, "PUT")]),
        "allow-credentials=true allow-headers=x-custom allow-methods=GET,POST max-age=86400"
    );
}
