use super::*;
use std::fs;

const TABLE: &Table<'static> = &[(0, &["model"]), (1, &["matching", "other"]), (2, &["policy"])];

/// A sound package of four modules, with `changes` written over it.
fn report(changes: &[(&str, &str)]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let sound = [
        ("lib.rs", "mod model; mod matching; mod other; mod policy; pub use policy::X;"),
        ("model.rs", "pub mod rbac;"),
        ("model/rbac.rs", "use super::Y; use crate::Z;"),
        ("matching.rs", "use crate::model::A;"),
        ("other.rs", ""),
        ("policy.rs", "use crate::{matching::b, model};"),
    ];
    for (path, text) in sound.iter().chain(changes) {
        let path = dir.path().join("src").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let prefix = format!("{}/src/", dir.path().display());
    violations(dir.path(), TABLE).iter().map(|violation| violation.to_string().replace(&prefix, "")).collect()
}

#[test]
fn a_sound_package_passes() {
    assert_eq!(report(&[]), [""; 0]);
}

#[test]
fn upward_edges_are_reported_with_file_and_line() {
    let upward = |at: &str| vec![format!("{at}: `model` uses `policy`, which is in a higher layer")];
    let cases = [
        ("model.rs", "\n\nuse crate::policy::X;", "model.rs:3"),
        ("model.rs", "use crate::{Z, policy::{self}};", "model.rs:1"),
        ("model.rs", "fn f() {\n    crate::policy::g();\n}", "model.rs:2"),
        ("model.rs", "use super::policy;", "model.rs:1"),
        ("model.rs", "use super::{matching_ as m, policy};", "model.rs:1"),
        ("model.rs", "use self::super::policy;", "model.rs:1"),
        ("model.rs", "mod inner { use super::super::policy; }", "model.rs:1"),
        ("model.rs", "macro_rules! m { () => { $crate::policy::g() } }", "model.rs:1"),
        ("model.rs", "#[cfg(test)] mod tests; use crate::policy;", "model.rs:1"),
        ("model.rs", "#[cfg(any(test, unix))] use crate::policy;", "model.rs:1"),
        ("model/rbac.rs", "use super::super::policy;", "model/rbac.rs:1"),
        ("model/rbac/deep.rs", "\nuse super::super::super::policy;", "model/rbac/deep.rs:2"),
    ];
    for (path, text, at) in cases {
        assert_eq!(report(&[(path, text)]), upward(at), "{text}");
    }
}

#[test]
fn what_is_no_edge() {
    let cases = [
        ("model.rs", "// use crate::policy;\n/* crate::policy */ const S: &str = \"crate::policy\";"),
        ("model.rs", "#[cfg(test)] mod tests { use crate::policy::X; }"),
        ("model.rs", "#[cfg(test)] use crate::policy::X;"),
        ("model/tests.rs", "use crate::policy::X;"),
        ("model/tests/more.rs", "use crate::policy::X;"),
        ("model/rbac.rs", "use super::policy;"),
        ("model.rs", "mod inner { use super::policy; } pub(crate) fn policy() {}"),
        ("bin/tool.rs", "use crate::policy;"),
        ("policy.rs", "use crate::policy::own;"),
    ];
    for (path, text) in cases {
        assert_eq!(report(&[(path, text)]), [""; 0], "{text}");
    }
}

#[test]
fn circles_within_a_layer_are_reported_on_both_sides() {
    let found = report(&[("matching.rs", "use crate::other;"), ("other.rs", "use crate::matching;")]);
    assert_eq!(
        found,
        [
            "matching.rs:1: `matching` uses `other`, which depends on `matching`",
            "other.rs:1: `other` uses `matching`, which depends on `other`",
        ]
    );
    // One way is fine.
    assert_eq!(report(&[("other.rs", "use crate::matching;")]), [""; 0]);
}

#[test]
fn the_table_names_exactly_the_modules_there_are() {
    assert_eq!(report(&[("stray.rs", "")]), ["module `stray` is in no layer of the table"]);
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("src")).unwrap();
    fs::write(dir.path().join("src/main.rs"), "").unwrap();
    let missing = violations(dir.path(), &[(0, &["model"])]);
    assert_eq!(missing, [Violation::Missing { module: "model".into() }]);
}

#[test]
fn holds_itself() {
    check(env!("CARGO_MANIFEST_DIR"), &[(0, &["source"]), (1, &["edges"]), (2, &["rules"])]);
}

#[test]
#[should_panic(expected = "the layers do not hold")]
fn check_fails_the_test() {
    check(env!("CARGO_MANIFEST_DIR"), &[(0, &["source"])]);
}
