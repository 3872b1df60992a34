use super::*;
use crate::matching::view::sample::Sample;
use crate::model::Refusal;
use crate::model::route::{
    ClusterChoice, Fraction, HeaderAdd, HeaderAppendAction, HeaderText, Mirror, PathMatch, PathRewrite,
    WeightedCluster,
};
use crate::routing::pick::weighted_index;
use crate::routing::plan::sample::{forward, route};
use http::HeaderName;
use proptest::prelude::*;

fn planned(route: &Arc<Route>, sample: &Sample, seed: u64) -> Plan {
    let mut dice = Dice::new(seed);
    plan(&Picked::of(route, &sample.view(), &mut dice), &sample.view(), &mut dice)
}

fn forwarded(forward: Forward, sample: &Sample, seed: u64) -> ForwardPlan {
    match planned(&route(PathMatch::Any, RouteAction::Forward(Box::new(forward))), sample, seed) {
        Plan::Forward(plan) => *plan,
        other => panic!("{other:?}"),
    }
}

fn weighted(weights: &[u32]) -> ClusterChoice {
    let tagged = |text: String| HeaderMutations {
        remove: vec![],
        add: vec![HeaderAdd {
            name: HeaderName::from_static("x-cluster"),
            value: HeaderText::Literal(HeaderValue::try_from(text).unwrap()),
            action: HeaderAppendAction::OverwriteIfExistsOrAdd,
        }],
    };
    let clusters = weights
        .iter()
        .enumerate()
        .map(|(index, weight)| WeightedCluster {
            name: format!("c{index}").into(),
            weight: *weight,
            request_headers: tagged(format!("req-{index}")),
            response_headers: tagged(format!("resp-{index}")),
            host_rewrite: (index == 1).then(|| HeaderValue::from_static("one.example")),
        })
        .collect();
    ClusterChoice::Weighted { clusters, total: weights.iter().sum() }
}

#[test]
fn weights_are_held_and_zero_is_never_chosen() {
    let mut counts = [0_u32; 3];
    for seed in 0..10_000 {
        let plan =
            forwarded(Forward { clusters: weighted(&[90, 10, 0]), ..forward() }, &Sample::get("/"), seed);
        counts[plan.target.weighted.unwrap()] += 1;
    }
    assert!((8800..9200).contains(&counts[0]) && counts[2] == 0, "{counts:?}");
}

#[test]
fn a_weighted_cluster_brings_its_own_headers_and_host() {
    let plan = (0..100)
        .map(|seed| forwarded(Forward { clusters: weighted(&[1, 1]), ..forward() }, &Sample::get("/"), seed))
        .find(|plan| &*plan.target.cluster == "c1")
        .unwrap();
    assert_eq!(
        (plan.host.clone(), plan.cluster_host.as_ref().unwrap().as_bytes()),
        (HostPlan::Keep, &b"one.example"[..])
    );
    let first = |mut mutations: Box<dyn Iterator<Item = &HeaderMutations> + '_>| {
        let HeaderText::Literal(value) = &mutations.next().unwrap().add[0].value else { panic!() };
        assert!(mutations.next().unwrap().is_empty(), "the route's own come second");
        value.clone()
    };
    assert_eq!(first(Box::new(plan.request_mutations())), "req-1");
    let picked =
        Picked { route: plan.route.clone(), target: Some(plan.target), include_attempt_count: false };
    assert_eq!(first(Box::new(picked.response_mutations())), "resp-1");
}

#[test]
fn clusters_by_header() {
    let clusters = || ClusterChoice::Header(HeaderName::from_static("x-cluster"));
    let named = Sample::get("/").header("x-cluster", "other");
    assert_eq!(&*forwarded(Forward { clusters: clusters(), ..forward() }, &named, 0).target.cluster, "other");
    let without = RouteAction::Forward(Box::new(Forward { clusters: clusters(), ..forward() }));
    let Plan::Refused(failure) = planned(&route(PathMatch::Any, without), &Sample::get("/"), 0) else {
        panic!()
    };
    assert_eq!(&*failure.details, "cluster_not_found");
}

#[test]
fn mirrors_by_their_share() {
    let mirror = |cluster: &str, numerator| Mirror {
        cluster: cluster.into(),
        fraction: Fraction { numerator, denominator: 100 },
        append_shadow_suffix: false,
    };
    let mirrors = || vec![mirror("all", 100), mirror("quarter", 25), mirror("none", 0)];
    let mut quarter = 0;
    for seed in 0..4000 {
        let plan = forwarded(Forward { mirrors: mirrors(), ..forward() }, &Sample::get("/"), seed);
        assert_eq!(&*plan.mirrors[0].cluster, "all");
        quarter += plan.mirrors[1..].iter().filter(|mirror| &*mirror.cluster == "quarter").count();
        assert!(plan.mirrors.iter().all(|mirror| &*mirror.cluster != "none"));
    }
    assert!((900..1100).contains(&quarter), "{quarter}");
}

#[test]
fn the_other_actions() {
    let body = Bytes::from_static(b"hello");
    let direct = RouteAction::DirectResponse { status: StatusCode::IM_A_TEAPOT, body: body.clone() };
    let Plan::Direct { status, body: have } = planned(&route(PathMatch::Any, direct), &Sample::get("/"), 0)
    else {
        panic!()
    };
    assert_eq!((status, have), (StatusCode::IM_A_TEAPOT, body));

    let mut refused = (*route(PathMatch::Any, RouteAction::Forward(Box::new(forward())))).clone();
    refused.refusal = Some(Refusal::new("unsupported_route", "lua"));
    let Plan::Refused(failure) = planned(&Arc::new(refused), &Sample::get("/"), 0) else { panic!() };
    assert_eq!((failure.status.as_u16(), &*failure.details), (503, "unsupported_route{lua}"));
}

#[test]
fn a_missing_cluster_answers_as_the_route_says() {
    let plan = forwarded(
        Forward { cluster_not_found: StatusCode::INTERNAL_SERVER_ERROR, ..forward() },
        &Sample::get("/"),
        0,
    );
    assert_eq!(plan.cluster_not_found().status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn rewrites_are_part_of_the_plan() {
    let action = RouteAction::Forward(Box::new(Forward {
        rewrite: Some(PathRewrite::Prefix("/new".into())),
        ..forward()
    }));
    let old = PathMatch::SegmentPrefix { prefix: "/old".into(), ignore_case: false };
    let Plan::Forward(plan) = planned(&route(old, action), &Sample::get("/old/a?b=1"), 0) else { panic!() };
    assert_eq!(plan.path.as_deref(), Some("/new/a?b=1"));
}

proptest! {
    #[test]
    fn weighted_index_is_in_bounds(weights in proptest::collection::vec(0_u32..1000, 1..20), seed: u64) {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let point = Dice::new(seed).below(total);
        match weighted_index(weights.iter().copied(), point) {
            Some(index) => prop_assert!(weights[index] > 0),
            None => prop_assert_eq!(total, 0),
        }
    }
}
