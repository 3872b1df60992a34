//! Query parameters set and removed by an answer.

use super::QueryChanges;
use crate::matching::path::NormalizedPath;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What would end a parameter, the query, or the request line. `%` stays: a service may send its values encoded.
const SPECIAL: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'&').add(b'<').add(b'>');

/// The path with its query changed. Parameters keep their order; a set one stands where it first stood, or last.
/// Differs from Envoy, which sorts all parameters when one is changed.
#[must_use]
pub fn edit(path: &NormalizedPath, changes: &QueryChanges) -> NormalizedPath {
    let query = path.query().unwrap_or_default();
    let mut parameters: Vec<String> =
        query.split('&').filter(|parameter| !parameter.is_empty()).map(str::to_owned).collect();
    for (key, value) in &changes.set {
        let new = format!("{}={}", utf8_percent_encode(key, SPECIAL), utf8_percent_encode(value, SPECIAL));
        let at = parameters.iter().position(|parameter| is_named(parameter, key));
        parameters.retain(|parameter| !is_named(parameter, key));
        parameters.insert(at.unwrap_or(parameters.len()), new);
    }
    parameters.retain(|parameter| !changes.remove.iter().any(|key| is_named(parameter, key)));
    path.with_query(&parameters.join("&"))
}

fn is_named(parameter: &str, key: &str) -> bool {
    parameter.split('=').next().is_some_and(|name| {
        name == key || percent_encoding::percent_decode_str(name).decode_utf8().is_ok_and(|name| name == key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::path::{PathOutcome, normalize};

    #[test]
    fn table() {
        let changes = |set: &[(&str, &str)], remove: &[&str]| QueryChanges {
            set: set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            remove: remove.iter().map(|key| (*key).to_owned()).collect(),
        };
        let cases = [
            ("/a", changes(&[("k", "v")], &[]), "/a?k=v"),
            ("/a?x=1&k=old&y=2&k=older", changes(&[("k", "v")], &[]), "/a?x=1&k=v&y=2"),
            ("/a?x=1&token=secret", changes(&[], &["token"]), "/a?x=1"),
            ("/a?%74oken=secret&x", changes(&[], &["token"]), "/a?x"),
            ("/a?token=secret", changes(&[], &["token"]), "/a"),
            ("/a?x=1", changes(&[("k", "a b&c#d")], &[]), "/a?x=1&k=a%20b%26c%23d"),
            ("/a?x=1", changes(&[], &["X"]), "/a?x=1"),
        ];
        for (path, changes, expect) in cases {
            let Ok(PathOutcome::Path(before)) = normalize(path, &Default::default()) else {
                panic!("{path}")
            };
            let after = edit(&before, &changes);
            assert_eq!(after.as_str(), expect, "{path}");
            assert_eq!(after.path(), before.path());
        }
    }
}
