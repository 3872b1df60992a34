//! Query parameter matching. Envoy: `route.v3.QueryParameterMatcher`; names and values are compared undecoded, and of a
//! repeated parameter the first counts.

use super::string;
use crate::model::matcher::{QueryMatcher, QueryValueMatcher};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

#[must_use]
pub fn matches(matcher: &QueryMatcher, query: Option<&str>) -> bool {
    matches_value(matcher, first_value(query, &matcher.name))
}

/// Of a parameter found already.
#[must_use]
pub fn matches_value(matcher: &QueryMatcher, value: Option<impl AsRef<[u8]>>) -> bool {
    match &matcher.matcher {
        QueryValueMatcher::Present(wanted) => value.is_some() == *wanted,
        QueryValueMatcher::String(matcher) => value.is_some_and(|value| string::matches(matcher, value)),
    }
}

/// `a=1&b` gives `1` for `a`, the empty string for `b`.
#[must_use]
pub fn first_value<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    pairs(query).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The same, decoded: by another spelling a client must not get at another limit.
/// Envoy: rate limits decode the query, routes do not.
#[must_use]
pub fn decoded_value<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, [u8]>> {
    let (_, value) = pairs(query).find(|(key, _)| percent_decode_str(key).eq(name.bytes()))?;
    Some(percent_decode_str(value).into())
}

fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.into_iter().flat_map(|query| query.split('&'));
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoded() {
        let cases: &[(&str, Option<&str>)] = &[
            ("color=r%65d", Some("red")),
            ("c%6flor=red", Some("red")),
            ("color=%zz", Some("%zz")),
            ("colour=red", None),
            ("color", Some("")),
            ("c%6Flor=1&color=2", Some("1")),
        ];
        for (query, expect) in cases {
            let value = decoded_value(Some(query), "color");
            assert_eq!(value.as_deref(), expect.map(str::as_bytes), "{query}");
            let present = QueryMatcher { name: "color".into(), matcher: QueryValueMatcher::Present(true) };
            assert_eq!(matches_value(&present, value), expect.is_some(), "{query}");
        }
    }

    #[test]
    fn table() {
        let cases: &[(Option<&str>, Option<&str>)] = &[
            (None, None),
            (Some(""), None),
            (Some("color"), Some("")),
            (Some("color="), Some("")),
            (Some("color=red"), Some("red")),
            (Some("x=1&color=red&color=blue"), Some("red")),
            (Some("color=a=b"), Some("a=b")),
            (Some("c%6flor=red"), None),
            (Some("Color=red"), None),
        ];
        for (query, expect) in cases {
            assert_eq!(first_value(*query, "color"), *expect, "{query:?}");
            let present =
                |wanted| QueryMatcher { name: "color".into(), matcher: QueryValueMatcher::Present(wanted) };
            assert_eq!(matches(&present(true), *query), expect.is_some(), "{query:?}");
            assert_eq!(matches(&present(false), *query), expect.is_none(), "{query:?}");
        }
    }
}
