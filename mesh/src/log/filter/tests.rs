use super::{Filter, scope};
use tracing::Level;

#[track_caller]
fn check(text: &str, expect: Option<&str>) {
    assert_eq!(Filter::parse(text).ok().map(|filter| filter.to_string()).as_deref(), expect, "{text:?}");
}

#[test]
fn directives() {
    check("info", Some("info"));
    check("WARNING", Some("warn"));
    check("critical", Some("error"));
    check("access=debug", Some("info,access=debug"));
    check("access:debug", Some("info,access=debug"));
    check("hbone::pool=trace, debug", Some("debug,hbone::pool=trace"));
    check("hbone::pool:trace", Some("info,hbone::pool=trace"));
    check("info,access=off,dns:error", Some("info,access=off,dns=error"));
    for bad in [
        "",
        " ",
        ",",
        "loud",
        "access=",
        "=debug",
        "access=loud",
        "a b=info",
        "hbone::debug",
        "access=debug=info",
    ] {
        check(bad, None);
    }
}

#[test]
fn a_scope_covers_our_crates_modules() {
    let targets = Filter::parse("warn,access=info,hbone=debug").unwrap().targets();
    for (target, level, enabled) in [
        ("access", Level::INFO, true),
        ("access", Level::DEBUG, false),
        ("mesh::hbone::pool", Level::DEBUG, true),
        ("mesh::hbone::pool", Level::TRACE, false),
        ("ztunnel::access", Level::INFO, true),
        ("mesh::secrets", Level::INFO, false),
        ("mesh::secrets", Level::WARN, true),
        ("h2::codec", Level::INFO, false),
    ] {
        assert_eq!(targets.would_enable(target, &level), enabled, "{target} {level}");
    }
}

#[test]
fn own_crate_names_are_left_out_of_scopes() {
    for (target, expect) in [
        ("mesh::hbone::pool", "hbone::pool"),
        ("access", "access"),
        ("h2::codec", "h2::codec"),
        ("mesh", "mesh"),
    ] {
        assert_eq!(scope(target), expect);
    }
}
