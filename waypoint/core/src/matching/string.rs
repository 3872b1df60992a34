//! String matching. Envoy: `type.matcher.v3.StringMatcher`; ASCII case folding only.

use crate::model::matcher::{StringMatcher, StringPattern};

#[must_use]
pub fn matches(matcher: &StringMatcher, value: impl AsRef<[u8]>) -> bool {
    matches_bytes(matcher, value.as_ref())
}

fn matches_bytes(matcher: &StringMatcher, value: &[u8]) -> bool {
    let equal: fn(&[u8], &[u8]) -> bool =
        if matcher.ignore_case { <[u8]>::eq_ignore_ascii_case } else { |a, b| a == b };
    match &matcher.pattern {
        StringPattern::Exact(want) => equal(value, want.as_bytes()),
        StringPattern::Prefix(want) => {
            value.get(..want.len()).is_some_and(|head| equal(head, want.as_bytes()))
        }
        StringPattern::Suffix(want) => {
            value.len() >= want.len() && equal(&value[value.len() - want.len()..], want.as_bytes())
        }
        StringPattern::Contains(want) => {
            want.is_empty() || value.windows(want.len()).any(|window| equal(window, want.as_bytes()))
        }
        StringPattern::Regex(regex) => regex.is_match(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::regex::compile;

    fn exact(text: &str) -> StringPattern {
        StringPattern::Exact(text.into())
    }

    #[test]
    fn table() {
        let cases: Vec<(StringPattern, bool, &str, bool)> = vec![
            (exact("a"), false, "a", true),
            (exact("a"), false, "A", false),
            (exact("a"), true, "A", true),
            (exact(""), false, "", true),
            (StringPattern::Prefix("/orders/".into()), false, "/orders/7", true),
            (StringPattern::Prefix("/orders/".into()), false, "/orders", false),
            (StringPattern::Prefix("Ab".into()), true, "aBc", true),
            (StringPattern::Prefix("".into()), false, "", true),
            (StringPattern::Suffix(".example.com".into()), false, "a.example.com", true),
            (StringPattern::Suffix(".example.com".into()), false, "aexample.com", false),
            (StringPattern::Suffix(".Example.com".into()), true, "a.example.COM", true),
            (StringPattern::Suffix("long".into()), false, "ng", false),
            (StringPattern::Contains("b".into()), false, "abc", true),
            (StringPattern::Contains("B".into()), true, "abc", true),
            (StringPattern::Contains("".into()), false, "", true),
            (StringPattern::Contains("abcd".into()), false, "abc", false),
            (StringPattern::Regex(compile("a+").unwrap()), false, "aaa", true),
            (StringPattern::Regex(compile("a+").unwrap()), false, "aab", false),
        ];
        for (pattern, ignore_case, value, expect) in cases {
            let matcher = StringMatcher { pattern, ignore_case };
            assert_eq!(matches(&matcher, value), expect, "{matcher:?} on {value:?}");
        }
    }

    #[test]
    fn stray_bytes_are_compared_not_skipped() {
        let any = StringMatcher { pattern: StringPattern::Regex(compile(".*").unwrap()), ignore_case: false };
        assert!(matches(&any, [0xff, b'a']));
        let suffix = StringMatcher { pattern: StringPattern::Suffix("a".into()), ignore_case: false };
        assert!(matches(&suffix, [0xff, b'a']));
    }
}
