use super::*;
use crate::matching::path::{PathOutcome, normalize};
use crate::matching::view::NetworkView;
use crate::model::http_chain::PathNormalization;
use crate::model::matcher::{StringMatcher, StringPattern};
use crate::model::metadata::DynamicMetadata;
use http::{HeaderName, HeaderValue};

fn exact(text: &str) -> HeaderValueMatcher {
    HeaderValueMatcher::String(StringMatcher {
        pattern: StringPattern::Exact(text.into()),
        ignore_case: false,
    })
}

fn headers(values: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("x-role", HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn on_role(matcher: HeaderValueMatcher) -> HeaderMatcher {
    let key = HeaderKey::Name(HeaderName::from_static("x-role"));
    HeaderMatcher { key, matcher, invert: false, treat_missing_as_empty: false }
}

#[test]
fn values_count_on_their_own() {
    let cases: &[(&[&[u8]], bool)] = &[
        (&[b"admin"], true),
        (&[b"Admin"], false),
        (&[b"user", b"admin"], true),
        (&[b"admin", b"user"], true),
        (&[b"admin,user"], false),
        (&[b"adminx"], false),
        (&[b""], false),
        (&[], false),
    ];
    for (values, expect) in cases {
        let mut matcher = on_role(exact("admin"));
        assert_eq!(matches_headers(&matcher, &headers(values)), *expect, "{values:?}");
        matcher.invert = true;
        // A missing header is no match, inverted or not.
        assert_eq!(
            matches_headers(&matcher, &headers(values)),
            !*expect && !values.is_empty(),
            "not {values:?}"
        );
    }
}

#[test]
fn presence_and_absence() {
    for (wanted, invert, values, expect) in [
        (true, false, &[b"".as_slice()] as &[&[u8]], true),
        (true, false, &[], false),
        (true, true, &[], true),
        (false, false, &[], true),
        (false, false, &[b"x"], false),
        (false, true, &[b"x"], true),
    ] {
        let matcher = HeaderMatcher { invert, ..on_role(HeaderValueMatcher::Present(wanted)) };
        assert_eq!(matches_headers(&matcher, &headers(values)), expect, "{wanted} {invert} {values:?}");
    }
}

#[test]
fn missing_as_empty() {
    let without = HeaderMatcher { invert: true, treat_missing_as_empty: true, ..on_role(exact("admin")) };
    assert!(matches_headers(&without, &headers(&[])));
    assert!(!matches_headers(&without, &headers(&[b"admin"])));
    assert!(!matches_headers(&without, &headers(&[b"user", b"admin"])));
    let empty = HeaderMatcher { treat_missing_as_empty: true, ..on_role(exact("")) };
    assert!(matches_headers(&empty, &headers(&[])));
}

#[test]
fn ranges() {
    let matcher = on_role(HeaderValueMatcher::Range { start: -5, end: 10 });
    for (value, expect) in
        [("-5", true), ("9", true), ("10", false), ("x", false), ("1.0", false), ("", false)]
    {
        assert_eq!(matches_headers(&matcher, &headers(&[value.as_bytes()])), expect, "{value}");
    }
}

/// CVE-2026-73552: a negated pattern must see a value with stray bytes.
#[test]
fn negation_does_not_fail_open_on_stray_bytes() {
    let pattern = StringPattern::Regex(crate::matching::regex::compile(".*secret.*").unwrap());
    let matcher = HeaderValueMatcher::String(StringMatcher { pattern, ignore_case: false });
    let not_secret = HeaderMatcher { invert: true, ..on_role(matcher) };
    assert!(!matches_headers(&not_secret, &headers(&[b"\xffsecret\xfe"])));
}

#[test]
fn pseudo_headers_come_from_the_request_line() {
    let PathOutcome::Path(path) = normalize("/a?b=1", &PathNormalization::default()).unwrap() else {
        panic!()
    };
    let mut fields = HeaderMap::new();
    fields.insert("host", HeaderValue::from_static("forged"));
    let request = RequestView {
        connection: NetworkView {
            peer: None,
            source_ip: [10, 0, 0, 1].into(),
            destination: ([10, 96, 0, 1], 80).into(),
            sni: None,
            metadata: DynamicMetadata::EMPTY,
        },
        method: "GET",
        path: &path,
        authority: "shop:80",
        scheme: "http",
        headers: &fields,
        remote_ip: [10, 0, 0, 1].into(),
    };
    let cases = [
        (HeaderKey::Method, "GET"),
        (HeaderKey::Path, "/a?b=1"),
        (HeaderKey::Authority, "shop:80"),
        (HeaderKey::Scheme, "http"),
        (HeaderKey::Name(HOST), "shop:80"),
    ];
    for (key, value) in cases {
        let matcher = HeaderMatcher { key, ..on_role(exact(value)) };
        assert!(matches(&matcher, &request), "{matcher:?}");
    }
}
