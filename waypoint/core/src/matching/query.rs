//! Query parameter matching. Envoy: `route.v3.QueryParameterMatcher`; names and values are compared undecoded, and of a
//! repeated parameter the first counts.

use super::string;
use crate::model::matcher::{QueryMatcher, QueryValueMatcher};

#[must_use]
pub fn matches(matcher: &QueryMatcher, query: Option<&str>) -> bool {
    let value = first_value(query, &matcher.name);
    match &matcher.matcher {
        QueryValueMatcher::Present(wanted) => value.is_some() == *wanted,
        QueryValueMatcher::String(matcher) => value.is_some_and(|value| string::matches(matcher, value)),
    }
}

/// `a=1&b` gives `1` for `a`, the empty string for `b`.
#[must_use]
pub fn first_value<'a>(query: Option<&'a str>, name: &str) -> Option<&'a str> {
    query?
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| *key == name)
        .map(|(_, v)| v)
}

#[cfg(test)]
mod tests {
    use super::*;

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
