//! Matchers as data; `matching` evaluates them.
//! Envoy: `type.matcher.v3.StringMatcher`, `route.v3.HeaderMatcher`, `type.matcher.v3.MetadataMatcher`.

use http::HeaderName;
use regex::bytes::Regex;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct StringMatcher {
    pub pattern: StringPattern,
    /// ASCII case only, as Envoy. Never set together with `Regex`.
    pub ignore_case: bool,
}

#[derive(Clone, Debug)]
pub enum StringPattern {
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    Contains(Box<str>),
    /// Anchored at both ends when compiled: Envoy's `safe_regex` is a full match.
    Regex(Regex),
}

/// Which header a matcher looks at; the pseudo headers are no `HeaderName`s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderKey {
    Method,
    Path,
    Authority,
    Scheme,
    Name(HeaderName),
}

#[derive(Clone, Debug)]
pub struct HeaderMatcher {
    pub key: HeaderKey,
    pub matcher: HeaderValueMatcher,
    pub invert: bool,
    /// A missing header counts as the empty string instead of "no match".
    pub treat_missing_as_empty: bool,
}

#[derive(Clone, Debug)]
pub enum HeaderValueMatcher {
    /// `present_match`: true wants the header there, false wants it absent.
    Present(bool),
    String(StringMatcher),
    /// `[start, end)` of an integer value.
    Range {
        start: i64,
        end: i64,
    },
}

#[derive(Clone, Debug)]
pub struct QueryMatcher {
    pub name: Box<str>,
    pub matcher: QueryValueMatcher,
}

#[derive(Clone, Debug)]
pub enum QueryValueMatcher {
    Present(bool),
    String(StringMatcher),
}

/// A match on dynamic metadata, e.g. a JWT claim under `envoy.filters.http.jwt_authn`.
#[derive(Clone, Debug)]
pub struct MetadataMatcher {
    pub filter: Arc<str>,
    pub path: Box<[Box<str>]>,
    pub value: ValueMatcher,
    pub invert: bool,
}

#[derive(Clone, Debug)]
pub enum ValueMatcher {
    Null,
    Bool(bool),
    Present(bool),
    Exact(f64),
    Range {
        start: f64,
        end: f64,
    },
    String(StringMatcher),
    /// Any element of a list matches.
    ListOneOf(Box<Self>),
    Or(Vec<Self>),
}
