use super::*;
use crate::model::route::{
    ClusterChoice, FaultAbort, HashPolicy, HeaderAppendAction, HeaderText, PathRewrite, RetryOn,
};
use crate::translate::pb::{fault, matcher as pb_matcher, protobuf};
use crate::translate::tests::{outcome, pack, seconds};
use pb::route_match::PathSpecifier;
use std::time::Duration;

fn forward() -> pb::RouteAction {
    pb::RouteAction {
        cluster_specifier: Some(pb::route_action::ClusterSpecifier::Cluster("c".into())),
        timeout: seconds(0),
        ..Default::default()
    }
}

fn route_to(action: pb::RouteAction) -> pb::Route {
    pb::Route {
        r#match: Some(pb::RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix("/".into())),
            ..Default::default()
        }),
        action: Some(pb::route::Action::Route(action)),
        ..Default::default()
    }
}

fn table_of(routes: Vec<pb::Route>) -> pb::RouteConfiguration {
    let host = pb::VirtualHost { domains: vec!["*".into()], routes, ..Default::default() };
    pb::RouteConfiguration { name: "t".into(), virtual_hosts: vec![host], ..Default::default() }
}

fn translated(route: pb::Route) -> Arc<Route> {
    let table = table(table_of(vec![route]), &mut Warnings::default()).unwrap();
    table.virtual_hosts[0].routes[0].clone()
}

fn forwarded(action: pb::RouteAction) -> crate::model::route::Forward {
    let route = translated(route_to(action));
    assert_eq!(route.refusal, None);
    match &route.action {
        RouteAction::Forward(forward) => (**forward).clone(),
        other => panic!("{other:?}"),
    }
}

fn refusal(route: pb::Route) -> String {
    translated(route).refusal.as_ref().expect("a refusal").details.to_string()
}

#[test]
fn cookie_attributes_are_kept_or_the_route_refused() {
    use pb::route_action::hash_policy::{Cookie, CookieAttribute, PolicySpecifier};
    let action = |pairs: &[(&str, &str)]| {
        let attribute = |(name, value): &(&str, &str)| CookieAttribute {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        let cookie = Cookie {
            name: "user".into(),
            ttl: seconds(0),
            attributes: pairs.iter().map(attribute).collect(),
            ..Default::default()
        };
        let policy = pb::route_action::HashPolicy {
            policy_specifier: Some(PolicySpecifier::Cookie(cookie)),
            ..Default::default()
        };
        pb::RouteAction { hash_policy: vec![policy], ..forward() }
    };
    let hash = forwarded(action(&[("SameSite", "Lax"), ("Secure", "")])).hash;
    let [HashPolicy::Cookie { attributes, .. }] = hash.as_slice() else { panic!("{hash:?}") };
    assert_eq!(&**attributes, "; SameSite=Lax; Secure");
    for bad in [("", "x"), ("a;b", ""), ("a", "b\r\nset-cookie: c"), ("a", "b;c")] {
        let route = translated(route_to(action(&[bad])));
        assert!(route.refusal.is_some(), "{bad:?}");
    }
}

#[test]
fn domains() {
    let cases = [
        ("*", Domain::Any),
        ("A.example.com", Domain::Exact("a.example.com".into())),
        ("*.example.com", Domain::Suffix(".example.com".into())),
        ("example.*", Domain::Prefix("example.".into())),
    ];
    for (text, expect) in cases {
        assert_eq!(domain(text), expect, "{text}");
    }
}

#[test]
fn timeouts() {
    assert_eq!(forwarded(forward()).timeout, None);
    assert_eq!(
        forwarded(pb::RouteAction { timeout: None, ..forward() }).timeout,
        Some(Duration::from_secs(15))
    );
    let got = forwarded(pb::RouteAction { timeout: seconds(3), max_grpc_timeout: seconds(0), ..forward() });
    assert_eq!((got.timeout, got.max_grpc_timeout), (Some(Duration::from_secs(3)), Some(Duration::ZERO)));
    let bad = pb::RouteAction { timeout: seconds(-1), ..forward() };
    let expect = "invalid virtual_hosts[0].routes[0].route.timeout: negative duration";
    assert_eq!(outcome(table(table_of(vec![route_to(bad)]), &mut Warnings::default())), expect);
}

#[test]
fn weights() {
    let weighted = |weights: &[u32]| {
        let clusters = weights.iter().map(|weight| pb::weighted_cluster::ClusterWeight {
            name: format!("w{weight}"),
            weight: Some(protobuf::UInt32Value { value: *weight }),
            ..Default::default()
        });
        let weighted = pb::WeightedCluster { clusters: clusters.collect(), ..Default::default() };
        let specifier = Some(pb::route_action::ClusterSpecifier::WeightedClusters(weighted));
        route_to(pb::RouteAction { cluster_specifier: specifier, ..forward() })
    };
    let route = translated(weighted(&[90, 10]));
    let RouteAction::Forward(forward) = &route.action else { panic!("{route:?}") };
    assert!(
        matches!(&forward.clusters, ClusterChoice::Weighted { clusters, total: 100 } if clusters.len() == 2)
    );
    for (weights, expect) in [(vec![0, 0], "zero"), (vec![u32::MAX, 1], "more than 4294967295")] {
        let result = outcome(table(table_of(vec![weighted(&weights)]), &mut Warnings::default()));
        assert!(
            result.starts_with("invalid virtual_hosts[0].routes[0].route.weighted_clusters: ")
                && result.ends_with(expect),
            "{result}"
        );
    }
}

#[test]
fn retries() {
    let policy = pb::RetryPolicy {
        retry_on: "connect-failure, 5xx,cancelled,made-up".into(),
        retriable_status_codes: vec![503],
        host_selection_retry_max_attempts: 5,
        ..Default::default()
    };
    let got = forwarded(pb::RouteAction { retry_policy: Some(policy), ..forward() }).retry.unwrap();
    assert_eq!(got.on, RetryOn::CONNECT_FAILURE.with(RetryOn::SERVER_ERROR).with(RetryOn::GRPC_CANCELLED));
    assert_eq!((got.retries, got.host_selection_attempts, got.avoid_previous_hosts), (1, 5, false));
    assert_eq!(
        (got.back_off_base, got.back_off_max),
        (Duration::from_millis(25), Duration::from_millis(250))
    );
    let predicate = pb::retry_policy::RetryHostPredicate { name: "omit_canary".into(), config_type: None };
    let policy = pb::RetryPolicy { retry_host_predicate: vec![predicate], ..Default::default() };
    let route = route_to(pb::RouteAction { retry_policy: Some(policy), ..forward() });
    assert_eq!(refusal(route), "unsupported_retry{omit_canary}");
}

#[test]
fn header_additions() {
    use crate::translate::pb::core as core_pb;
    use core_pb::header_value_option::HeaderAppendAction as Action;
    let add = |key: &str, value: &str, action: Action| core_pb::HeaderValueOption {
        header: Some(core_pb::HeaderValue { key: key.into(), value: value.into(), raw_value: Vec::new() }),
        append_action: action as i32,
        ..Default::default()
    };
    let mut route = route_to(forward());
    route.request_headers_to_add = vec![
        add("x-a", "one", Action::OverwriteIfExistsOrAdd),
        add("x-b", "%PROTOCOL%", Action::AppendIfExistsOrAdd),
        add("x-c", "50%%", Action::AddIfAbsent),
        add("x-d", "", Action::AddIfAbsent),
    ];
    route.request_headers_to_remove = vec!["x-gone".into()];
    let got = translated(route).request_headers.clone();
    assert_eq!(got.remove, ["x-gone"]);
    assert_eq!(got.add.len(), 3, "an empty value is not kept");
    assert_eq!(got.add[0].action, HeaderAppendAction::OverwriteIfExistsOrAdd);
    assert!(matches!(&got.add[1].value, HeaderText::Format(_)));
    assert!(matches!(&got.add[2].value, HeaderText::Literal(value) if value == "50%"));
    for (key, value, expect) in [
        (":path", "/x", "invalid_header{:path_cannot_be_set}"),
        ("x-a", "%NOPE%", "invalid_header{x-a:_unknown_access_log_operator_%NOPE%}"),
        ("x-a", "100%", "invalid_header{x-a:_unterminated_operator_in_format_at_\"\"}"),
        ("x-a", "a\nb", "invalid_header{x-a:_bad_header_value_\"a\\nb\"}"),
        ("x a", "b", "invalid_header{bad_header_name_\"x_a\"}"),
        ("x-a", "%CONNECTION_ID%", "unsupported_operator{CONNECTION_ID}"),
    ] {
        let bad = vec![add(key, value, Action::AddIfAbsent)];
        let mut route = route_to(forward());
        route.request_headers_to_add = bad.clone();
        assert_eq!(refusal(route), expect);
        let mut host = table_of(vec![route_to(forward())]);
        host.virtual_hosts[0].response_headers_to_add = bad;
        let host = table(host, &mut Warnings::default()).unwrap();
        assert_eq!(&*host.virtual_hosts[0].routes[0].refusal.as_ref().unwrap().details, expect);
    }
    let mut route = route_to(forward());
    route.response_headers_to_add = vec![add("x-a", "grün", Action::AddIfAbsent)];
    let added = translated(route).response_headers.add[0].value.clone();
    assert!(matches!(added, HeaderText::Literal(value) if value == "grün".as_bytes()));
}

/// What one route cannot honour refuses that route, and nothing it would have matched falls through to the next.
#[test]
fn refusals_stay_within_their_route() {
    let fine = route_to(forward());
    let per_filter = |name: &str, any: protobuf::Any| {
        let mut route = route_to(forward());
        route.typed_per_filter_config.insert(name.into(), any);
        route
    };
    let unknown = pack(&core_pb_locality());
    let connect = pb::route_match::PathSpecifier::ConnectMatcher(Default::default());
    let mut connect_route = route_to(forward());
    connect_route.r#match.as_mut().unwrap().path_specifier = Some(connect);
    let mut cookies = route_to(forward());
    cookies.r#match.as_mut().unwrap().cookies = vec![Default::default()];
    let hedge = route_to(pb::RouteAction { hedge_policy: Some(Default::default()), ..forward() });
    let cases = [
        (per_filter("x.filter", unknown), "unsupported_route_config{x.filter}"),
        (connect_route, "unsupported_match{connect_matcher}"),
        (cookies, "unsupported_field{RouteMatch#17}"),
        (hedge, "unsupported_field{RouteAction#27}"),
        (pb::Route { action: None, ..route_to(forward()) }, "unsupported_action{unknown}"),
    ];
    for (bad, expect) in cases {
        let table = table(table_of(vec![bad, fine.clone()]), &mut Warnings::default()).unwrap();
        let routes = &table.virtual_hosts[0].routes;
        assert_eq!(&*routes[0].refusal.as_ref().unwrap().details, expect);
        assert_eq!(routes[1].refusal, None);
        if expect.starts_with("unsupported_match") || expect.contains("RouteMatch") {
            assert!(
                matches!(routes[0].matcher.path, PathMatch::Any),
                "a match not understood stands for every request"
            );
        }
    }
    let plugin =
        pb::VirtualHost { matcher: Some(Default::default()), routes: vec![fine], ..Default::default() };
    let config = pb::RouteConfiguration { virtual_hosts: vec![plugin], ..Default::default() };
    let table = table(config, &mut Warnings::default()).unwrap();
    assert_eq!(
        &*table.virtual_hosts[0].routes[0].refusal.as_ref().unwrap().details,
        "unsupported_field{VirtualHost#21}"
    );
}

fn core_pb_locality() -> crate::translate::pb::core::Locality {
    crate::translate::pb::core::Locality::default()
}

#[test]
fn faults_of_outer_levels_are_inherited() {
    let fault = fault::HttpFault {
        abort: Some(fault::FaultAbort {
            percentage: Some(crate::translate::pb::types::FractionalPercent {
                numerator: 125_000,
                denominator: 2,
            }),
            error_type: Some(fault::fault_abort::ErrorType::HttpStatus(503)),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut config = table_of(vec![route_to(forward())]);
    config.virtual_hosts[0].typed_per_filter_config.insert("envoy.filters.http.fault".into(), pack(&fault));
    let table = table(config, &mut Warnings::default()).unwrap();
    let (abort, fraction) = table.virtual_hosts[0].routes[0].fault.as_ref().unwrap().abort.unwrap();
    assert_eq!(abort, FaultAbort::Http(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!((fraction.numerator, fraction.denominator), (125_000, 1_000_000));
}

#[test]
fn rewrites_and_redirects() {
    let regex = pb_matcher::RegexMatchAndSubstitute {
        pattern: Some(pb_matcher::RegexMatcher { regex: "^/strip(/?)(.*)".into(), engine_type: None }),
        substitution: r"/\2".into(),
    };
    let got = forwarded(pb::RouteAction { regex_rewrite: Some(regex.clone()), ..forward() }).rewrite;
    assert!(
        matches!(&got, Some(PathRewrite::Regex { substitution, .. }) if &**substitution == "/${2}"),
        "{got:?}"
    );
    let both = pb::RouteAction { regex_rewrite: Some(regex), prefix_rewrite: "/x".into(), ..forward() };
    let expect = "invalid virtual_hosts[0].routes[0].route: prefix_rewrite and regex_rewrite together";
    assert_eq!(outcome(table(table_of(vec![route_to(both)]), &mut Warnings::default())), expect);
    let redirect = pb::RedirectAction {
        host_redirect: "other.example.com".into(),
        port_redirect: 8443,
        response_code: pb::redirect_action::RedirectResponseCode::PermanentRedirect as i32,
        path_rewrite_specifier: Some(pb::redirect_action::PathRewriteSpecifier::PathRedirect(String::new())),
        ..Default::default()
    };
    let mut route = route_to(forward());
    route.action = Some(pb::route::Action::Redirect(redirect));
    let route = translated(route);
    let RouteAction::Redirect(redirect) = &route.action else { panic!("{route:?}") };
    assert_eq!((redirect.status.as_u16(), redirect.port, redirect.path.is_none()), (308, Some(8443), true));
}

#[test]
fn direct_responses_have_a_size_limit() {
    let response = |status: u32, body: &str| {
        let source = core::data_source::Specifier::InlineString(body.into());
        let body = Some(core::DataSource { specifier: Some(source), ..Default::default() });
        let mut route = route_to(forward());
        route.action = Some(pb::route::Action::DirectResponse(pb::DirectResponseAction {
            status,
            body,
            body_format: None,
        }));
        table_of(vec![route])
    };
    use crate::translate::pb::core;
    assert_eq!(outcome(table(response(500, "x"), &mut Warnings::default())), "ok");
    let expect = "invalid virtual_hosts[0].routes[0].direct_response.body: 4097 bytes, allowed are 4096";
    assert_eq!(outcome(table(response(200, &"x".repeat(4097)), &mut Warnings::default())), expect);
    let expect = "invalid virtual_hosts[0].routes[0].direct_response.status: bad status 99";
    assert_eq!(outcome(table(response(99, ""), &mut Warnings::default())), expect);
}

fn rate_limit(value: &str) -> pb::RateLimit {
    use pb::rate_limit::action::{ActionSpecifier, GenericKey};
    let key = GenericKey { descriptor_value: value.into(), ..Default::default() };
    let action = pb::rate_limit::Action { action_specifier: Some(ActionSpecifier::GenericKey(key)) };
    pb::RateLimit { actions: vec![action], ..Default::default() }
}

#[test]
fn limits_of_routes_and_virtual_hosts() {
    let limited = pb::RouteAction {
        rate_limits: vec![rate_limit("r")],
        include_vh_rate_limits: Some(protobuf::BoolValue { value: true }),
        ..forward()
    };
    let host = |rate_limits| pb::VirtualHost {
        routes: vec![route_to(limited.clone()), route_to(forward())],
        rate_limits,
        ..Default::default()
    };
    let table_with = |rate_limits| {
        let config = pb::RouteConfiguration { virtual_hosts: vec![host(rate_limits)], ..Default::default() };
        table(config, &mut Warnings::default())
    };
    let known = table_with(vec![rate_limit("v"), rate_limit("w")]).unwrap();
    let counts: Vec<_> = known.virtual_hosts[0]
        .routes
        .iter()
        .map(|route| {
            let limits = &route.limits;
            (limits.rate_limits.len(), limits.virtual_host.len(), limits.include_virtual_host)
        })
        .collect();
    assert_eq!(counts, [(1, 2, true), (0, 2, false)]);

    let strange = pb::RateLimit { apply_on_stream_done: true, ..rate_limit("v") };
    let refused = table_with(vec![strange.clone()]).unwrap();
    for route in refused.virtual_hosts[0].routes.iter() {
        assert_eq!(&*route.refusal.as_ref().unwrap().details, "unsupported_field{RateLimit#6}");
    }
    let action = pb::RouteAction { rate_limits: vec![strange], ..forward() };
    let refused = table(table_of(vec![route_to(action), route_to(forward())]), &mut Warnings::default());
    let refused: Vec<bool> =
        refused.unwrap().virtual_hosts[0].routes.iter().map(|route| route.refusal.is_some()).collect();
    assert_eq!(refused, [true, false]);
}

#[test]
fn limits_are_for_filters_by_name() {
    use crate::translate::pb::ratelimit;
    let per_route =
        |domain: &str| pack(&ratelimit::RateLimitPerRoute { domain: domain.into(), ..Default::default() });
    let of_host = [("one".to_owned(), per_route("host")), ("two".to_owned(), per_route("host"))];
    let of_route = [("two".to_owned(), per_route("route"))];
    let route = pb::Route { typed_per_filter_config: of_route.into(), ..route_to(forward()) };
    let host = pb::VirtualHost {
        typed_per_filter_config: of_host.into(),
        routes: vec![route],
        ..Default::default()
    };
    let config = pb::RouteConfiguration { virtual_hosts: vec![host], ..Default::default() };
    let table = table(config, &mut Warnings::default()).unwrap();
    let limits = &table.virtual_hosts[0].routes[0].limits.global;
    for (name, expect) in [("one", Some("host")), ("two", Some("route")), ("three", None)] {
        let found = crate::model::rate_limit::named(limits, name);
        assert_eq!(found.and_then(|config| config.domain.as_deref()), expect, "{name}");
    }
}
