use super::*;
use crate::matching::regex::compile;
use crate::matching::view::sample::Sample;
use crate::model::matcher::{HeaderKey, HeaderMatcher, HeaderValueMatcher, QueryMatcher, QueryValueMatcher};
use crate::model::route::{HeaderMutations, RouteAction};
use bytes::Bytes;
use http::{HeaderName, StatusCode};

fn route(name: &str, matcher: RouteMatch) -> Arc<Route> {
    Arc::new(Route {
        name: name.into(),
        matcher,
        action: RouteAction::DirectResponse { status: StatusCode::OK, body: Bytes::new() },
        request_headers: HeaderMutations::default(),
        response_headers: HeaderMutations::default(),
        fault: None,
        cors: None,
        decorator: None,
        istio_config: None,
        refusal: None,
    })
}

fn on(path: PathMatch) -> RouteMatch {
    RouteMatch { path, headers: vec![], query: vec![], metadata: vec![], grpc: false }
}

fn table(hosts: Vec<(&str, Vec<Domain>)>) -> RouteTable {
    let virtual_hosts = hosts
        .into_iter()
        .map(|(name, domains)| VirtualHost {
            name: name.into(),
            domains,
            routes: vec![route("all", on(PathMatch::Any))],
            include_request_attempt_count: false,
        })
        .collect();
    RouteTable { name: "t".into(), virtual_hosts }
}

#[test]
fn virtual_hosts() {
    let table = table(vec![
        ("any", vec![Domain::Any]),
        ("exact", vec![Domain::Exact("a.example.com".into())]),
        ("port", vec![Domain::Exact("a.example.com:80".into())]),
        ("short", vec![Domain::Suffix(".com".into())]),
        ("long", vec![Domain::Suffix(".example.com".into())]),
        ("prefix", vec![Domain::Prefix("a.".into())]),
        ("second", vec![Domain::Exact("a.example.com".into())]),
    ]);
    for (authority, expect) in [
        ("a.example.com", "exact"),
        ("A.EXAMPLE.com", "exact"),
        ("a.example.com:80", "port"),
        ("b.example.com", "long"),
        ("b.example.com:80", "any"),
        (".example.com", "short"),
        ("x.com", "short"),
        ("a.org", "prefix"),
        ("a.", "any"),
        ("", "any"),
    ] {
        let sample = Sample { authority, ..Sample::get("/") };
        let chosen = choose(&table, &sample.view()).unwrap();
        assert_eq!(&*chosen.virtual_host.name, expect, "{authority}");
    }
}

#[test]
fn no_virtual_host_no_route() {
    let table = table(vec![("wild", vec![Domain::Suffix(".example.com".into())])]);
    let sample = Sample { authority: "shop:80", ..Sample::get("/") };
    assert!(choose(&table, &sample.view()).is_none());
}

#[test]
fn paths() {
    let exact = |ignore_case| PathMatch::Exact { path: "/exact".into(), ignore_case };
    let prefix = |ignore_case| PathMatch::Prefix { prefix: "/api".into(), ignore_case };
    let segment = |ignore_case| PathMatch::SegmentPrefix { prefix: "/old".into(), ignore_case };
    let regex = PathMatch::Regex(compile("/match/[a-z]+/end").unwrap());
    for (matcher, path, expect) in [
        (PathMatch::Any, "/", true),
        (exact(false), "/exact", true),
        (exact(false), "/exact?q=1", true),
        (exact(false), "/exact/", false),
        (exact(false), "/Exact", false),
        (exact(true), "/Exact", true),
        (exact(false), "/exact;v=1", false),
        (prefix(false), "/apiX", true),
        (prefix(false), "/ap", false),
        (prefix(true), "/API/x", true),
        (segment(false), "/old", true),
        (segment(false), "/old/a", true),
        (segment(false), "/old?x", true),
        (segment(false), "/older", false),
        (segment(true), "/OLD/a", true),
        (regex.clone(), "/match/abc/end?x=1", true),
        (regex.clone(), "/match/abc/end/x", false),
        (regex, "/match/ABC/end", false),
    ] {
        let matcher = on(matcher);
        assert_eq!(matches(&matcher, &Sample::get(path).view()), expect, "{matcher:?} on {path}");
    }
}

#[test]
fn all_conditions_must_hold_and_the_first_route_wins() {
    let tenant = HeaderMatcher {
        key: HeaderKey::Name(HeaderName::from_static("x-tenant")),
        matcher: HeaderValueMatcher::Present(true),
        invert: false,
        treat_missing_as_empty: false,
    };
    let color = QueryMatcher { name: "color".into(), matcher: QueryValueMatcher::Present(true) };
    let both = RouteMatch { headers: vec![tenant], query: vec![color], ..on(PathMatch::Any) };
    let grpc = RouteMatch { grpc: true, ..on(PathMatch::Any) };
    let mut table = table(vec![("any", vec![Domain::Any])]);
    table.virtual_hosts[0].routes = vec![
        route("both", both),
        route("grpc", grpc),
        route("rest", on(PathMatch::Any)),
        route("late", on(PathMatch::Any)),
    ];
    let grpc = || Sample::get("/").header("content-type", "application/grpc");
    for (sample, expect) in [
        (Sample::get("/?color=red").header("x-tenant", "a"), "both"),
        (Sample::get("/?color=red"), "rest"),
        (Sample::get("/").header("x-tenant", "a"), "rest"),
        (grpc(), "grpc"),
        (Sample::get("/").header("content-type", "application/grpc-web"), "rest"),
    ] {
        assert_eq!(&*choose(&table, &sample.view()).unwrap().route.name, expect);
    }
}
