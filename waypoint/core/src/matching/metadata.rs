//! Dynamic metadata matching. Envoy: `type.matcher.v3.{MetadataMatcher, ValueMatcher}`.

use super::string;
use crate::model::matcher::{MetadataMatcher, ValueMatcher};
use crate::model::metadata::{DynamicMetadata, MetadataValue};

#[must_use]
pub fn matches(matcher: &MetadataMatcher, metadata: &DynamicMetadata) -> bool {
    let value = metadata.value(&matcher.filter, &matcher.path);
    value.is_some_and(|value| matches_value(&matcher.value, value)) != matcher.invert
}

fn matches_value(matcher: &ValueMatcher, value: &MetadataValue) -> bool {
    match (matcher, value) {
        (ValueMatcher::Or(any), value) => any.iter().any(|matcher| matches_value(matcher, value)),
        // Envoy: `present_match: false` never matches; absence is expressed by `invert`.
        (ValueMatcher::Present(wanted), _) => *wanted,
        (ValueMatcher::Null, MetadataValue::Null) => true,
        (ValueMatcher::Bool(want), MetadataValue::Bool(have)) => want == have,
        (ValueMatcher::Exact(want), MetadataValue::Number(have)) => want == have,
        (ValueMatcher::Range { start, end }, MetadataValue::Number(have)) => (*start..*end).contains(have),
        (ValueMatcher::String(matcher), MetadataValue::String(have)) => string::matches(matcher, &**have),
        (ValueMatcher::ListOneOf(matcher), MetadataValue::List(items)) => {
            items.iter().any(|item| matches_value(matcher, item))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::matcher::{StringMatcher, StringPattern};
    use std::collections::BTreeMap;

    fn text(text: &str) -> ValueMatcher {
        ValueMatcher::String(StringMatcher { pattern: StringPattern::Exact(text.into()), ignore_case: false })
    }

    fn metadata() -> DynamicMetadata {
        let string = |text: &str| MetadataValue::String(text.into());
        let claims = BTreeMap::from([
            ("iss".into(), string("issuer")),
            ("aud".into(), MetadataValue::List(vec![string("a"), string("b")])),
            ("level".into(), MetadataValue::Number(3.0)),
            ("ok".into(), MetadataValue::Bool(true)),
            ("none".into(), MetadataValue::Null),
        ]);
        let root = MetadataValue::Struct(BTreeMap::from([("payload".into(), MetadataValue::Struct(claims))]));
        DynamicMetadata { filters: vec![("jwt".into(), root)] }
    }

    #[test]
    fn table() {
        let cases: Vec<(&str, ValueMatcher, bool)> = vec![
            ("iss", text("issuer"), true),
            ("iss", text("other"), false),
            ("missing", text("issuer"), false),
            ("aud", text("a"), false),
            ("aud", ValueMatcher::ListOneOf(Box::new(text("b"))), true),
            ("aud", ValueMatcher::ListOneOf(Box::new(text("c"))), false),
            ("iss", ValueMatcher::ListOneOf(Box::new(text("issuer"))), false),
            ("iss", ValueMatcher::Or(vec![text("x"), text("issuer")]), true),
            ("level", ValueMatcher::Exact(3.0), true),
            ("level", ValueMatcher::Range { start: 0.0, end: 3.0 }, false),
            ("ok", ValueMatcher::Bool(true), true),
            ("none", ValueMatcher::Null, true),
            ("iss", ValueMatcher::Present(true), true),
            ("missing", ValueMatcher::Present(true), false),
        ];
        for (claim, value, expect) in cases {
            let path: Box<[Box<str>]> = ["payload".into(), claim.into()].into();
            let mut matcher = MetadataMatcher { filter: "jwt".into(), path, value, invert: false };
            assert_eq!(matches(&matcher, &metadata()), expect, "{matcher:?}");
            matcher.invert = true;
            assert_eq!(matches(&matcher, &metadata()), !expect, "{matcher:?}");
        }
    }
}
