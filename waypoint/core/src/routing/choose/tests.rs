use super::*;
use crate::matching::regex::compile;
use crate::matching::view::sample::Sample;
use crate::model::matcher::{HeaderKey, HeaderMatcher, HeaderValueMatcher, QueryMatcher, QueryValueMatcher};
use crate::model::route::{HeaderMutations, RouteAction};
use bytes::Bytes;
use http::{HeaderName, StatusCode};
use proptest::prelude::*;

fn route(name: &str, matcher: RouteMatch) -> Arc<Route> {
    Arc::new(Route {
        name: name.into(),
        matcher,
        action: RouteAction::DirectResponse { status: StatusCode::OK, body: Bytes::new() },
        request_headers: HeaderMutations::default(),
        response_headers: HeaderMutations::default(),
        fault: None,
        cors: None,
        ext_authz: None,
        limits: Default::default(),
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
            routes: vec![route("all", on(PathMatch::Any))].into(),
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
    ]
    .into();
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

/// Paths that overlap: every kind of match, whole segments and parts of them, long enough that lengths repeat.
fn matchers() -> impl Strategy<Value = PathMatch> {
    let text = || "(/[ab]{0,2}){1,3}";
    prop_oneof![
        Just(PathMatch::Any),
        (text(), any::<bool>())
            .prop_map(|(path, ignore_case)| PathMatch::Exact { path: path.into(), ignore_case }),
        (text(), any::<bool>())
            .prop_map(|(prefix, ignore_case)| PathMatch::Prefix { prefix: prefix.into(), ignore_case }),
        (text(), any::<bool>()).prop_map(|(prefix, ignore_case)| PathMatch::SegmentPrefix {
            prefix: prefix.into(),
            ignore_case
        }),
        text().prop_map(|pattern| PathMatch::Regex(compile(&pattern).unwrap())),
    ]
}

proptest! {
    /// The index leaves out only what cannot match, and keeps the order.
    #[test]
    fn many_routes_are_searched_as_if_one_by_one(
        paths in proptest::collection::vec(matchers(), 17..60), path in "(/[abA]{0,3}){1,4}"
    ) {
        let routes: Vec<_> =
            paths.into_iter().enumerate().map(|(index, path)| route(&index.to_string(), on(path))).collect();
        let sample = Sample::get(&path);
        let view = sample.view();
        let scanned = routes.iter().find(|route| matches(&route.matcher, &view)).map(|route| route.name.clone());
        let mut table = table(vec![("any", vec![Domain::Any])]);
        table.virtual_hosts[0].routes = routes.into();
        prop_assert_eq!(choose(&table, &view).map(|chosen| chosen.route.name.clone()), scanned);
    }
}
