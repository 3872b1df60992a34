use super::*;
use proptest::prelude::*;

/// istiod's default, `BASE`.
const BASE: PathNormalization = PathNormalization {
    normalize: true,
    merge_slashes: false,
    escaped_slashes: EscapedSlashes::KeepUnchanged,
};
const NONE: PathNormalization = PathNormalization { normalize: false, ..BASE };
const MERGE: PathNormalization = PathNormalization { merge_slashes: true, ..BASE };
const DECODE: PathNormalization =
    PathNormalization { escaped_slashes: EscapedSlashes::UnescapeAndForward, ..MERGE };

fn text(raw: &str, rules: &PathNormalization) -> String {
    match normalize(raw, rules) {
        Ok(PathOutcome::Path(path)) => path.as_str().into(),
        Ok(PathOutcome::Redirect { location }) => format!("307 {location}"),
        Err(failure) => format!("{} {}", failure.status.as_u16(), failure.details),
    }
}

#[test]
fn base() {
    const FAILED: &str = "400 path_normalization_failed";
    let cases = [
        ("/", "/"),
        ("//a//b", "//a//b"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        ("/..", "/"),
        ("/a//../b", "/a/b"),
        ("/a/...", "/a/..."),
        ("/.a/..b", "/.a/..b"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/%2E%2e/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a/..%2fb", "/a/..%2fb"),
        ("/a%5cb", "/a%5cb"),
        ("/a\\b", "/a/b"),
        ("/a\\..\\b", "/b"),
        ("/a/%252e%252e/b", "/a/%252e%252e/b"),
        ("/%61%7e%2D", "/a~-"),
        ("/%c3%a9%3f", "/%c3%a9%3f"),
        ("/%zz", "/%zz"),
        ("/%", "/%"),
        ("/%4", "/%4"),
        ("/%%34%31", "/%2541"),
        ("/a%00b", FAILED),
        ("/a;x=1/..;/b", "/b"),
        ("/a/..;v=1/b", "/b"),
        ("/a;x=1/b;y", "/a;x=1/b;y"),
        ("/a#frag", "/a"),
        ("/a?x=1#frag", "/a?x=1"),
        ("/a%23b", "/a%23b"),
        ("/a?u=../%2e%2e//b\\c", "/a?u=../%2e%2e//b\\c"),
        ("/a?", "/a?"),
        ("/<>{}", "/%3C%3E%7B%7D"),
        ("/\u{e9}", FAILED),
        ("/a b", FAILED),
        ("/a\u{7f}", FAILED),
        ("", "404 missing_path_rejected"),
        ("abc", "404 absolute_path_rejected"),
        ("*", "404 absolute_path_rejected"),
    ];
    for (raw, expect) in cases {
        assert_eq!(text(raw, &BASE), expect, "{raw}");
    }
}

#[test]
fn the_other_levels() {
    let reject = PathNormalization { escaped_slashes: EscapedSlashes::Reject, ..BASE };
    let redirect = PathNormalization { escaped_slashes: EscapedSlashes::UnescapeAndRedirect, ..MERGE };
    let cases = [
        (&NONE, "/a/../b%61//c\\d", "/a/../b%61//c\\d"),
        (&NONE, "/a#b", "/a"),
        (&MERGE, "//admin///x?a=//", "/admin/x?a=//"),
        (&MERGE, "/a//../b", "/a/b"),
        (&MERGE, "/admin%2Fx", "/admin%2Fx"),
        (&DECODE, "/admin%2Fx%5cy", "/admin/x/y"),
        (&DECODE, "/admin/%2F%2Fx", "/admin/x"),
        (&DECODE, "/a/..%2Fb", "/b"),
        (&DECODE, "/a%252Fb", "/a%252Fb"),
        (&DECODE, "/%2", "/%2"),
        (&reject, "/a%2Fb", "400 path_normalization_failed"),
        (&reject, "/a%5Cb", "400 path_normalization_failed"),
        (&reject, "/a/b?c=%2F", "/a/b?c=%2F"),
        (&redirect, "/a%2Fb?c", "307 /a/b?c"),
        (&redirect, "/a/b", "/a/b"),
    ];
    for (rules, raw, expect) in cases {
        assert_eq!(text(raw, rules), expect, "{raw} under {rules:?}");
    }
}

#[test]
fn what_no_uri_may_contain_is_encoded() {
    let raw = PathNormalization::default();
    let cases = [
        ("/a?q=<b>&r=\"c`\"", BASE, "/a?q=%3Cb%3E&r=%22c%60%22"),
        ("/<a>?b", BASE, "/%3Ca%3E?b"),
        ("/<a>/../`?b", raw, "/%3Ca%3E/../%60?b"),
    ];
    for (sent, rules, expect) in cases {
        let Ok(PathOutcome::Path(path)) = normalize(sent, &rules) else { panic!("{sent}") };
        assert_eq!(path.as_str(), expect);
    }
}

#[test]
fn path_and_query_are_views_of_the_text() {
    for (raw, path, query) in [("/a?b=c", "/a", Some("b=c")), ("/a?", "/a", Some("")), ("/a", "/a", None)] {
        let Ok(PathOutcome::Path(normalized)) = normalize(raw, &BASE) else { panic!("{raw}") };
        assert_eq!((normalized.path(), normalized.query()), (path, query), "{raw}");
    }
}

#[test]
fn targets() {
    let absolute = |scheme, authority, path| Target::Absolute { scheme, authority, path };
    let cases = [
        ("/a?b", Target::Origin("/a?b")),
        ("//a", Target::Origin("//a")),
        ("*", Target::Asterisk),
        ("http://h:80/a?b", absolute("http", "h:80", "/a?b")),
        ("HTTPS://h", absolute("HTTPS", "h", "/")),
        ("http://h?x", Target::Other),
        ("http:///a", Target::Other),
        ("ftp://h/a", Target::Other),
        ("h:443", Target::Other),
        ("abc", Target::Other),
        ("", Target::Other),
    ];
    for (raw, expect) in cases {
        assert_eq!(Target::parse(raw), expect, "{raw}");
    }
}

fn rules() -> impl Strategy<Value = PathNormalization> {
    prop_oneof![Just(BASE), Just(MERGE), Just(DECODE)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A second proxy, or a second filter, must see the same path.
    #[test]
    fn idempotent_and_without_dot_segments(
        raw in "(/|\\\\|\\.|\\.\\.|;|%|%2e|%2E|%2f|%5c|%25|%34|%31|a|4|b;c|#|\\?|\\{){0,14}",
        rules in rules(),
    ) {
        let Ok(PathOutcome::Path(once)) = normalize(&format!("/{raw}"), &rules) else { return Ok(()) };
        for segment in once.path().split('/') {
            let name = segment.split(';').next().unwrap_or_default();
            prop_assert!(name != "." && name != "..", "{}", once.as_str());
        }
        prop_assert!(!once.path().contains('\\'));
        prop_assert_eq!(normalize(once.as_str(), &rules), Ok(PathOutcome::Path(once)));
    }

    /// Whatever comes, what leaves can stand in a request line.
    #[test]
    fn visible_ascii_from_the_root_or_refused(raw in "(/[!-~]{0,30}|.{0,40})", rules in rules()) {
        if let Ok(PathOutcome::Path(path)) = normalize(&raw, &rules) {
            prop_assert!(path.path().starts_with('/') && path.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(!path.as_str().contains('#'));
            // The endpoint gets the very bytes that policy judged.
            let sent = http::uri::PathAndQuery::try_from(path.as_str());
            prop_assert_eq!(sent.as_ref().map(|sent| sent.as_str()).ok(), Some(path.as_str()));
        }
    }

    /// The shortcut for clean paths agrees with the full canonicaliser.
    #[test]
    fn clean_paths_need_no_work(raw in "(/|a|-|\\.|;|~|:|@|=){0,12}") {
        let path = format!("/{raw}");
        if !needs_canonical_form(&path) {
            let mut full = String::new();
            canonicalize(&path, &mut full).unwrap();
            prop_assert_eq!(full, path);
        }
    }
}
