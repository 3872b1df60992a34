use super::*;
use crate::matching::regex::compile_rewrite;
use crate::matching::view::sample::Sample;
use crate::routing::plan::sample::forward;
use http::HeaderName;

#[test]
fn paths() {
    let segment = |prefix: &str| PathMatch::SegmentPrefix { prefix: prefix.into(), ignore_case: false };
    let prefix = |prefix: &str| PathMatch::Prefix { prefix: prefix.into(), ignore_case: false };
    let exact = || PathMatch::Exact { path: "/exact".into(), ignore_case: false };
    let to_prefix = |text: &str| PathRewrite::Prefix(text.into());
    let to_full = |text: &str| PathRewrite::Full(text.into());
    let strip = || PathRewrite::Regex {
        pattern: compile_rewrite("^/strip(/?)(.*)").unwrap(),
        substitution: "/${2}".into(),
    };
    let cases = [
        (to_prefix("/new"), segment("/old"), "/old/a?b=1", "/new/a?b=1"),
        (to_prefix("/new"), segment("/old"), "/old", "/new"),
        (to_prefix("/new"), segment("/old"), "/old/", "/new/"),
        (to_prefix("/new"), segment("/old"), "/old?x", "/new?x"),
        (to_prefix("/new"), prefix("/ol"), "/older", "/newder"),
        (to_prefix("/"), segment("/old"), "/old/x", "//x"),
        (to_prefix("/v1/"), PathMatch::Any, "/a", "/v1/a"),
        (to_prefix("/full"), exact(), "/exact?q", "/full?q"),
        (to_full("/full/path"), exact(), "/exact?q=1", "/full/path?q=1"),
        (to_full("/full/path"), prefix("/"), "/a/b/c", "/full/path"),
        (to_full("/p?own=1"), exact(), "/exact?q=1", "/p?own=1"),
        (strip(), segment("/strip"), "/strip/x", "/x"),
        (strip(), segment("/strip"), "/strip", "/"),
        (strip(), segment("/strip"), "/strip/", "/"),
        (strip(), segment("/strip"), "/strip/x?y=/strip", "/x?y=/strip"),
        (strip(), segment("/strip"), "/strip?y=1", "/?y=1"),
        (strip(), segment("/strip"), "/strip/strip/a", "/strip/a"),
    ];
    for (rewrite, matched, path, expect) in cases {
        assert_eq!(
            rewrite_path(&rewrite, &matched, &Sample::get(path).path),
            expect,
            "{rewrite:?} on {path}"
        );
    }
}

#[test]
fn hosts() {
    let literal = HeaderValue::from_static("rewritten.example.com");
    let by_header = || Some(HostRewrite::Header(HeaderName::from_static("x-host")));
    let plain = || Sample::get("/");
    let named = || Sample::get("/").header("x-host", "named.example");
    let set = |host: &'static str| HostPlan::Set(HeaderValue::from_static(host));
    let cases = [
        (None, plain(), HostPlan::Keep),
        (Some(HostRewrite::Literal(literal)), plain(), set("rewritten.example.com")),
        (Some(HostRewrite::Auto), plain(), HostPlan::Auto),
        (by_header(), named(), set("named.example")),
        (by_header(), plain(), HostPlan::Keep),
    ];
    for (host_rewrite, sample, expect) in cases {
        let mut forward = forward();
        forward.host_rewrite = host_rewrite;
        assert_eq!(rewrite_host(&forward, &sample.view()), expect);
    }
}
