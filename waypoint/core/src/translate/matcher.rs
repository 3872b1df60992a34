//! Matchers of routes and policies. Envoy: `type.matcher.v3`, `route.v3.{HeaderMatcher, QueryParameterMatcher}`.

use super::pb::{matcher as pb, route};
use super::problem::{At, Problem, Result};
use super::{values, wire};
use crate::limits::NESTING_MAX;
use crate::matching::regex::{compile, compile_rewrite};
use crate::model::matcher::{
    HeaderKey, HeaderMatcher, HeaderValueMatcher, MetadataMatcher, QueryMatcher, QueryValueMatcher,
    StringMatcher, StringPattern, ValueMatcher,
};
use crate::model::route::PathRewrite;
use regex::bytes::Regex;

/// A full-match expression.
pub(super) fn regex(matcher: &pb::RegexMatcher) -> Result<Regex> {
    // `engine_type` and its program size limit are deprecated in Envoy and have one value only.
    compile(&matcher.regex).map_err(|error| bad_regex(&matcher.regex, &error))
}

fn bad_regex(pattern: &str, error: &regex::Error) -> Problem {
    // The error draws the pattern over several lines; its last one says what is wrong.
    let text = error.to_string();
    Problem::invalid(format_args!("bad regex {pattern:?}: {}", text.lines().last().unwrap_or_default()))
}

/// `regex_rewrite`: RE2's `\1` becomes `${1}`.
pub(super) fn regex_rewrite(rewrite: &pb::RegexMatchAndSubstitute) -> Result<PathRewrite> {
    let pattern =
        rewrite.pattern.as_ref().ok_or_else(|| Problem::invalid("regex_rewrite without pattern"))?;
    let compiled = compile_rewrite(&pattern.regex).map_err(|error| bad_regex(&pattern.regex, &error))?;
    let substitution = substitution(&rewrite.substitution, compiled.captures_len())?;
    Ok(PathRewrite::Regex { pattern: compiled, substitution: substitution.into() })
}

fn substitution(text: &str, groups: usize) -> Result<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '$' => out.push_str("$$"),
            '\\' => match chars.next() {
                Some('\\') => out.push('\\'),
                Some(digit) if digit.to_digit(10).is_some_and(|group| (group as usize) < groups) => {
                    out.push_str(&format!("${{{digit}}}"));
                }
                _ => return Err(Problem::invalid(format_args!("bad substitution {text:?}"))),
            },
            char => out.push(char),
        }
    }
    Ok(out)
}

pub(super) fn string(matcher: &pb::StringMatcher) -> Result<StringMatcher> {
    use pb::string_matcher::MatchPattern;
    let pattern = match &matcher.match_pattern {
        Some(MatchPattern::Exact(text)) => StringPattern::Exact(text.as_str().into()),
        Some(MatchPattern::Prefix(text)) => StringPattern::Prefix(text.as_str().into()),
        Some(MatchPattern::Suffix(text)) => StringPattern::Suffix(text.as_str().into()),
        Some(MatchPattern::Contains(text)) => StringPattern::Contains(text.as_str().into()),
        Some(MatchPattern::SafeRegex(regex)) => {
            if matcher.ignore_case {
                return Err(Problem::invalid("ignore_case with safe_regex")); // Envoy refuses it too
            }
            StringPattern::Regex(self::regex(regex)?)
        }
        Some(MatchPattern::Custom(custom)) => {
            return Err(Problem::unsupported("unsupported_matcher", &custom.name));
        }
        None => return Err(Problem::unsupported("unsupported_matcher", "StringMatcher")),
    };
    Ok(StringMatcher { pattern, ignore_case: matcher.ignore_case })
}

pub(super) fn header(matcher: &route::HeaderMatcher) -> Result<HeaderMatcher> {
    use route::header_matcher::HeaderMatchSpecifier as Kind;
    let plain =
        |pattern: StringPattern| HeaderValueMatcher::String(StringMatcher { pattern, ignore_case: false });
    let value = match &matcher.header_match_specifier {
        Some(Kind::StringMatch(text)) => HeaderValueMatcher::String(string(text)?),
        Some(Kind::PresentMatch(present)) => HeaderValueMatcher::Present(*present),
        Some(Kind::RangeMatch(range)) => HeaderValueMatcher::Range { start: range.start, end: range.end },
        Some(Kind::ExactMatch(text)) => plain(StringPattern::Exact(text.as_str().into())),
        Some(Kind::PrefixMatch(text)) => plain(StringPattern::Prefix(text.as_str().into())),
        Some(Kind::SuffixMatch(text)) => plain(StringPattern::Suffix(text.as_str().into())),
        Some(Kind::ContainsMatch(text)) => plain(StringPattern::Contains(text.as_str().into())),
        Some(Kind::SafeRegexMatch(text)) => plain(StringPattern::Regex(regex(text)?)),
        // Envoy: no specifier matches on presence. A specifier newer than our protos looks the same, and matching on
        // presence alone could open what it was meant to close.
        None => return Err(Problem::unsupported("unsupported_matcher", format!("header:{}", matcher.name))),
    };
    Ok(HeaderMatcher {
        key: header_key(&matcher.name)?,
        matcher: value,
        invert: matcher.invert_match,
        treat_missing_as_empty: matcher.treat_missing_header_as_empty,
    })
}

pub(super) fn headers(matchers: &[route::HeaderMatcher]) -> Result<Vec<HeaderMatcher>> {
    matchers.iter().enumerate().map(|(index, matcher)| header(matcher).at_index("headers", index)).collect()
}

pub(super) fn header_key(name: &str) -> Result<HeaderKey> {
    Ok(match name.to_ascii_lowercase().as_str() {
        ":method" => HeaderKey::Method,
        ":path" => HeaderKey::Path,
        // The session layer turns Host into the authority, as Envoy's codec does.
        ":authority" | "host" => HeaderKey::Authority,
        ":scheme" => HeaderKey::Scheme,
        other => HeaderKey::Name(values::header_name(other)?),
    })
}

pub(super) fn query(matcher: &route::QueryParameterMatcher) -> Result<QueryMatcher> {
    use route::query_parameter_matcher::QueryParameterMatchSpecifier as Kind;
    let value = match &matcher.query_parameter_match_specifier {
        Some(Kind::StringMatch(text)) => QueryValueMatcher::String(string(text)?),
        Some(Kind::PresentMatch(present)) => QueryValueMatcher::Present(*present),
        None => return Err(Problem::unsupported("unsupported_matcher", format!("query:{}", matcher.name))),
    };
    Ok(QueryMatcher { name: matcher.name.as_str().into(), matcher: value })
}

pub(super) fn metadata(matcher: &pb::MetadataMatcher) -> Result<MetadataMatcher> {
    use pb::metadata_matcher::path_segment::Segment;
    let path = matcher.path.iter().map(|segment| match &segment.segment {
        Some(Segment::Key(key)) => Ok(key.as_str().into()),
        None => Err(Problem::unsupported("unsupported_matcher", "metadata path")),
    });
    let value = matcher.value.as_ref().ok_or_else(|| Problem::invalid("metadata matcher without value"))?;
    Ok(MetadataMatcher {
        filter: matcher.filter.as_str().into(),
        path: path.collect::<Result<_>>()?,
        value: self::value(value, 0)?,
        invert: matcher.invert,
    })
}

fn value(matcher: &pb::ValueMatcher, depth: usize) -> Result<ValueMatcher> {
    use pb::value_matcher::MatchPattern as Kind;
    if depth > NESTING_MAX {
        return Err(Problem::invalid("value matcher nests too deep"));
    }
    Ok(match &matcher.match_pattern {
        Some(Kind::NullMatch(_)) => ValueMatcher::Null,
        Some(Kind::BoolMatch(value)) => ValueMatcher::Bool(*value),
        Some(Kind::PresentMatch(value)) => ValueMatcher::Present(*value),
        Some(Kind::StringMatch(text)) => ValueMatcher::String(string(text)?),
        Some(Kind::DoubleMatch(number)) => double(number)?,
        Some(Kind::ListMatch(list)) => {
            use pb::list_matcher::MatchPattern::OneOf;
            let Some(OneOf(item)) = &list.match_pattern else {
                return Err(Problem::unsupported("unsupported_matcher", "ListMatcher"));
            };
            ValueMatcher::ListOneOf(Box::new(value(item, depth + 1)?))
        }
        Some(Kind::OrMatch(any)) => {
            let any = any.value_matchers.iter().map(|one| value(one, depth + 1));
            ValueMatcher::Or(any.collect::<Result<_>>()?)
        }
        None => return Err(Problem::unsupported("unsupported_matcher", "ValueMatcher")),
    })
}

fn double(matcher: &pb::DoubleMatcher) -> Result<ValueMatcher> {
    use pb::double_matcher::MatchPattern as Kind;
    match &matcher.match_pattern {
        Some(Kind::Exact(value)) => Ok(ValueMatcher::Exact(*value)),
        Some(Kind::Range(range)) => Ok(ValueMatcher::Range { start: range.start, end: range.end }),
        None => Err(Problem::unsupported("unsupported_matcher", "DoubleMatcher")),
    }
}

pub(super) fn path(matcher: &pb::PathMatcher) -> Result<StringMatcher> {
    match &matcher.rule {
        Some(pb::path_matcher::Rule::Path(text)) => string(text),
        None => Err(Problem::unsupported("unsupported_matcher", "PathMatcher")),
    }
}

/// The text a filter state object is compared with.
pub(super) fn filter_state(matcher: &pb::FilterStateMatcher) -> Result<StringMatcher> {
    match &matcher.matcher {
        Some(pb::filter_state_matcher::Matcher::StringMatch(text)) => string(text),
        _ => Err(Problem::unsupported("unsupported_matcher", format!("filter_state:{}", matcher.key))),
    }
}

/// A message whose only purpose is to be there, e.g. `grpc: {}`: any content is a condition we do not know.
pub(super) fn empty<M: prost::Message + prost::Name + Default + PartialEq>(
    message: Option<M>,
) -> Result<bool> {
    message.map_or(Ok(false), |message| wire::nothing_left(&message).map(|()| true))
}

#[cfg(test)]
mod tests;
