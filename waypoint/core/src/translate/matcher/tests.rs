use super::*;
use crate::matching;
use crate::translate::tests::outcome;
use pb::string_matcher::MatchPattern;

fn text(pattern: MatchPattern, ignore_case: bool) -> pb::StringMatcher {
    pb::StringMatcher { match_pattern: Some(pattern), ignore_case }
}

fn regex_of(regex: &str) -> pb::RegexMatcher {
    pb::RegexMatcher { regex: regex.into(), engine_type: None }
}

#[test]
fn strings() {
    let cases = [
        (text(MatchPattern::Exact("abc".into()), false), "abc", "ABC"),
        (text(MatchPattern::Exact("abc".into()), true), "ABC", "abcd"),
        (text(MatchPattern::Prefix("ab".into()), false), "abc", "cab"),
        (text(MatchPattern::Suffix("bc".into()), false), "abc", "bca"),
        (text(MatchPattern::Contains("b".into()), false), "abc", "ac"),
        (text(MatchPattern::SafeRegex(regex_of("v[12]")), false), "v1", "v12"),
    ];
    for (proto, yes, no) in cases {
        let matcher = string(&proto).unwrap();
        assert!(matching::string::matches(&matcher, yes), "{matcher:?} {yes}");
        assert!(!matching::string::matches(&matcher, no), "{matcher:?} {no}");
    }
}

#[test]
fn bad_strings() {
    let cases = [
        (
            text(MatchPattern::SafeRegex(regex_of("(")), false),
            "invalid : bad regex \"(\": error: unclosed group",
        ),
        (text(MatchPattern::SafeRegex(regex_of("a")), true), "invalid : ignore_case with safe_regex"),
        (pb::StringMatcher::default(), "unsupported unsupported_matcher{StringMatcher}"),
    ];
    for (proto, expect) in cases {
        assert_eq!(outcome(string(&proto)), expect);
    }
}

#[test]
fn header_keys() {
    let key = |name: &str| {
        let proto = route::HeaderMatcher {
            name: name.into(),
            header_match_specifier: Some(route::header_matcher::HeaderMatchSpecifier::PresentMatch(true)),
            ..Default::default()
        };
        header(&proto).map(|matcher| matcher.key)
    };
    assert_eq!(key(":method").unwrap(), HeaderKey::Method);
    assert_eq!(key("Host").unwrap(), HeaderKey::Authority);
    assert_eq!(key("X-A").unwrap(), HeaderKey::Name(http::HeaderName::from_static("x-a")));
    assert_eq!(outcome(key("a b")), "invalid : bad header name \"a b\"");
    let none = route::HeaderMatcher { name: "x".into(), ..Default::default() };
    assert_eq!(outcome(header(&none)), "unsupported unsupported_matcher{header:x}");
}

#[test]
fn substitutions() {
    let cases = [
        (r"/\2", Some("/${2}")),
        (r"/\0x", Some("/${0}x")),
        (r"a$b\\", Some(r"a$$b\")),
        (r"\3", None),
        (r"\x", None),
        (r"trailing\", None),
    ];
    for (text, expect) in cases {
        assert_eq!(substitution(text, 3).ok().as_deref(), expect, "{text}");
    }
}

#[test]
fn values_of_metadata() {
    use pb::value_matcher::MatchPattern as Kind;
    let string = |text_: &str| pb::ValueMatcher {
        match_pattern: Some(Kind::StringMatch(text(MatchPattern::Exact(text_.into()), false))),
    };
    let list =
        pb::ListMatcher { match_pattern: Some(pb::list_matcher::MatchPattern::OneOf(Box::new(string("a")))) };
    let list = pb::ValueMatcher { match_pattern: Some(Kind::ListMatch(Box::new(list))) };
    let either = pb::OrMatcher { value_matchers: vec![list, string("a")] };
    let proto = pb::MetadataMatcher {
        filter: "envoy.filters.http.jwt_authn".into(),
        path: vec![pb::metadata_matcher::PathSegment {
            segment: Some(pb::metadata_matcher::path_segment::Segment::Key("payload".into())),
        }],
        value: Some(pb::ValueMatcher { match_pattern: Some(Kind::OrMatch(either)) }),
        invert: true,
    };
    let matcher = metadata(&proto).unwrap();
    assert!(matcher.invert);
    assert_eq!(&*matcher.path[0], "payload");
    let ValueMatcher::Or(any) = &matcher.value else { panic!("{matcher:?}") };
    assert!(matches!(any.as_slice(), [ValueMatcher::ListOneOf(_), ValueMatcher::String(_)]));
    let nothing = pb::MetadataMatcher { value: Some(pb::ValueMatcher::default()), ..proto };
    assert_eq!(outcome(metadata(&nothing)), "unsupported unsupported_matcher{ValueMatcher}");
}
