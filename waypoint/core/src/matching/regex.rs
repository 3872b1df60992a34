//! Compiling the regular expressions of a configuration, with a size limit.
//!
//! The language is RE2's, which the `regex` crate shares for all that istiod sends; both run in linear time.
//! Expressions work on bytes, because a header value need not be UTF-8: with text semantics `.` would not match a stray
//! byte and a negated match would fail open (CVE-2026-73552).

use crate::limits::REGEX_SIZE_BYTES_MAX;
use regex::bytes::{Regex, RegexBuilder};

/// A full match, as every `safe_regex` is in Envoy.
pub fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    // Compiled alone first: `a)(?:b` would otherwise become valid inside our group.
    build(pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}

/// Not anchored, for rewrites: Envoy's `regex_rewrite` replaces every match.
pub fn compile_rewrite(pattern: &str) -> Result<Regex, regex::Error> {
    build(pattern)
}

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    // ASCII classes first, as RE2's `\d`, `\w` and `\s` are; only a non-ASCII class such as `[é]` needs Unicode mode.
    builder(pattern, false).or_else(|_| builder(pattern, true))
}

fn builder(pattern: &str, unicode: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .unicode(unicode)
        .size_limit(REGEX_SIZE_BYTES_MAX)
        .dfa_size_limit(REGEX_SIZE_BYTES_MAX)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_match() {
        let cases: &[(&str, &[u8], bool)] = &[
            ("v[12]", b"v1", true),
            ("v[12]", b"v12", false),
            ("v[12]", b"xv1", false),
            ("a|bc", b"a", true),
            ("a|bc", b"ac", false),
            (r"\d+", b"42", true),
            (r"\d+", "٤٢".as_bytes(), false),
            (".*", b"\xff\xfe", true),
            (".*", b"", true),
            ("a.*", b"a\n", false),
            ("[é]", "é".as_bytes(), true),
            ("(?i)abc", b"ABC", true),
        ];
        for (pattern, value, expect) in cases {
            assert_eq!(compile(pattern).unwrap().is_match(value), *expect, "{pattern} on {value:?}");
        }
    }

    #[test]
    fn bad_expressions_are_errors() {
        for pattern in ["(", "a)(?:b", "*", "(?=x)", r"\1", &"(a{1000}){1000}".repeat(2)] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn rewrites_are_not_anchored() {
        let regex = compile_rewrite("^/strip(/?)(.*)").unwrap();
        assert_eq!(&*regex.replace_all(b"/strip/a", &b"/${2}"[..]), b"/a");
    }
}
