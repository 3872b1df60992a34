//! Path templates, `/a/{*}/b/{**}`. Envoy: `extensions.path.match.uri_template`.
//!
//! Differs from Envoy: a segment may hold any character but `/`, so a path cannot slip past a template by an unusual one
//! (CVE-2025-46821, where `*` did).

use crate::model::rbac::{TemplateSegment, UriTemplate};

/// `path` is without query.
#[must_use]
pub fn matches(template: &UriTemplate, path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| matches_from(&template.segments, Some(rest)))
}

/// `rest` is the path behind the last consumed slash; `None` once the path is used up.
fn matches_from(segments: &[TemplateSegment], rest: Option<&str>) -> bool {
    let (Some((first, later)), Some(rest)) = (segments.split_first(), rest) else {
        return segments.is_empty() && rest.is_none();
    };
    let (head, tail) = match rest.split_once('/') {
        Some((head, tail)) => (head, Some(tail)),
        None => (rest, None),
    };
    match first {
        TemplateSegment::Literal(literal) => head == &**literal && matches_from(later, tail),
        TemplateSegment::One => !head.is_empty() && matches_from(later, tail),
        TemplateSegment::Many if later.is_empty() => true,
        // Takes one more segment each turn; the recursion is as deep as the template, the loop as long as the path.
        TemplateSegment::Many => {
            let mut remaining = tail;
            while let Some(text) = remaining {
                if matches_from(later, Some(text)) {
                    return true;
                }
                remaining = text.split_once('/').map(|(_, tail)| tail);
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TemplateSegment::{Many, One};
    use proptest::prelude::*;

    fn literal(text: &str) -> TemplateSegment {
        TemplateSegment::Literal(text.into())
    }

    #[test]
    fn table() {
        let items = UriTemplate { segments: vec![literal("orders"), One, literal("items"), Many] };
        let middle = UriTemplate { segments: vec![literal("a"), Many, literal("z")] };
        let root = UriTemplate { segments: vec![Many] };
        let cases: &[(&UriTemplate, &str, bool)] = &[
            (&items, "/orders/1/items/2/3", true),
            (&items, "/orders/1/items/2", true),
            (&items, "/orders/1/items/", true),
            (&items, "/orders/1/items", false),
            (&items, "/orders/1/2/items/3", false),
            (&items, "/orders//items/3", false),
            (&items, "/orders/*/items/=", true),
            (&items, "orders/1/items/3", false),
            (&middle, "/a/z", false),
            (&middle, "/a//z", true),
            (&middle, "/a/b/z", true),
            (&middle, "/a/b/c/z/z", true),
            (&middle, "/a/b/c/z/y", false),
            (&root, "/", true),
            (&root, "/x/y", true),
        ];
        for (template, path, expect) in cases {
            assert_eq!(matches(template, path), *expect, "{path}");
        }
    }

    /// The same template as a regular expression: the reference.
    fn reference(template: &UriTemplate) -> regex::Regex {
        let pattern: String = template
            .segments
            .iter()
            .map(|segment| match segment {
                TemplateSegment::Literal(text) => format!("/{}", regex::escape(text)),
                One => "/[^/]+".into(),
                Many => "/.*".into(),
            })
            .collect();
        regex::Regex::new(&format!("^{pattern}$")).unwrap()
    }

    proptest! {
        #[test]
        fn agrees_with_a_regular_expression(
            segments in proptest::collection::vec(prop_oneof![
                3 => "[ab*]{1,2}".prop_map(|text| TemplateSegment::Literal(text.into())),
                2 => Just(One),
                1 => Just(Many),
            ], 1..5),
            path in "(/[ab*.]{0,2}){1,6}",
        ) {
            let template = UriTemplate { segments };
            prop_assert_eq!(matches(&template, &path), reference(&template).is_match(&path));
        }
    }
}
