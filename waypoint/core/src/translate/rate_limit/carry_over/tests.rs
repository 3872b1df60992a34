use super::*;
use crate::model::rate_limit::Tokens;
use crate::translate::ecds::{Asked, Extensions};
use crate::translate::http_chain;
use crate::translate::pb::{common_ratelimit as common, hcm, local_ratelimit as pb, protobuf, router, types};
use crate::translate::problem::Warnings;
use crate::translate::rate_limit::config;
use crate::translate::tests::pack;

fn limit(max_tokens: u32, users: &[(&str, u32)]) -> LocalRateLimit {
    let bucket = |max_tokens| {
        Some(types::TokenBucket {
            max_tokens,
            fill_interval: Some(protobuf::Duration { seconds: 1, nanos: 0 }),
            ..Default::default()
        })
    };
    let descriptors = users.iter().map(|(user, max_tokens)| common::LocalRateLimitDescriptor {
        entries: vec![common::rate_limit_descriptor::Entry { key: "user".into(), value: (*user).into() }],
        token_bucket: bucket(*max_tokens),
        shadow_mode: false,
    });
    let limit = pb::LocalRateLimit {
        token_bucket: bucket(max_tokens),
        descriptors: descriptors.collect(),
        ..Default::default()
    };
    config("limit", limit).unwrap()
}

/// One host; each route a name and the limit it has.
fn chain(filters: Vec<LocalRateLimit>, routes: &[(&str, &Arc<LocalRateLimit>)]) -> HttpChain {
    let limited = |(name, limit): &(&str, &Arc<LocalRateLimit>)| {
        let mut route = Arc::unwrap_or_clone(crate::routing::plan::sample::route(
            crate::model::route::PathMatch::Any,
            crate::model::route::RouteAction::Forward(Box::new(crate::routing::plan::sample::forward())),
        ));
        route.name = (*name).into();
        route.limits.local = vec![("limit".into(), (*limit).clone())];
        Arc::new(route)
    };
    let host = VirtualHost {
        name: "host".into(),
        routes: routes.iter().map(limited).collect::<Vec<_>>().into(),
        ..Default::default()
    };
    let table = RouteTable { name: "table".into(), virtual_hosts: vec![host] };
    let limits = filters.into_iter().map(|limit| HttpFilter::LocalRateLimit(Arc::new(limit)));
    HttpChain {
        filters: [HttpFilter::Cors].into_iter().chain(limits).collect(),
        routes: Arc::new(table),
        ..plain()
    }
}

fn plain() -> HttpChain {
    let manager = hcm::HttpConnectionManager {
        http_filters: vec![hcm::HttpFilter {
            name: "router".into(),
            config_type: Some(hcm::http_filter::ConfigType::TypedConfig(pack(&router::Router::default()))),
            ..Default::default()
        }],
        route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::RouteConfig(Default::default())),
        ..Default::default()
    };
    let extensions = Extensions::default();
    http_chain::chain(manager, &mut Asked::new(&extensions), &mut Warnings::default()).unwrap()
}

fn tokens(limit: &LocalRateLimit) -> Arc<Tokens> {
    limit.bucket.as_ref().unwrap().tokens.clone()
}

fn of_filters(chain: &HttpChain) -> Vec<Arc<Tokens>> {
    chain.filters.iter().filter_map(super::limit).map(tokens).collect()
}

fn of_routes(chain: &HttpChain) -> Vec<Arc<Tokens>> {
    let routes = chain.routes.virtual_hosts[0].routes.iter();
    routes.map(|route| tokens(&route.limits.local[0].1)).collect()
}

fn same(one: &[Arc<Tokens>], other: &[Arc<Tokens>]) -> Vec<bool> {
    one.iter().zip(other).map(|(one, other)| Arc::ptr_eq(one, other)).collect()
}

#[test]
fn filters_go_on_where_the_rate_is_the_same() {
    let before = chain(vec![limit(1, &[]), limit(2, &[])], &[]);
    let mut after = chain(vec![limit(1, &[]), limit(3, &[]), limit(4, &[])], &[]);
    carry_over(&mut after, &before);
    assert_eq!(same(&of_filters(&before), &of_filters(&after)), [true, false]);
}

#[test]
fn descriptors_go_on_wherever_they_stand() {
    let users = |limit: &LocalRateLimit| -> Vec<usize> {
        let address = |one: &LocalDescriptor| match &one.tokens {
            DescriptorTokens::One(tokens) => Arc::as_ptr(tokens).addr(),
            DescriptorTokens::PerValues(seen) => Arc::as_ptr(seen).addr(),
        };
        limit.descriptors.iter().map(address).collect()
    };
    let before = limit(1, &[("ann", 1), ("bob", 2), ("", 3)]);
    let mut after = limit(2, &[("", 3), ("bob", 9), ("ann", 1)]);
    go_on(&mut after, &before);
    let (before, after) = (users(&before), users(&after));
    assert_eq!((after[0], after[2]), (before[2], before[0]));
    assert!(!before.contains(&after[1]));
}

#[test]
fn routes_go_on_by_their_names() {
    let made = |max| Arc::new(limit(max, &[]));
    let before = chain(vec![], &[("a", &made(1)), ("b", &made(2)), ("b", &made(3))]);
    let mut after = chain(vec![], &[("new", &made(1)), ("b", &made(2)), ("b", &made(3)), ("a", &made(1))]);
    carry_over(&mut after, &before);
    let (before, after) = (of_routes(&before), of_routes(&after));
    assert_eq!(same(&[before[1].clone(), before[2].clone(), before[0].clone()], &after[1..]), [true; 3]);
    assert!(!before.iter().any(|known| Arc::ptr_eq(known, &after[0])));
}

#[test]
fn a_virtual_hosts_limit_stays_one() {
    let (shared, anew) = (Arc::new(limit(1, &[])), Arc::new(limit(1, &[])));
    let before = chain(vec![], &[("a", &shared), ("b", &shared)]);
    let mut after = chain(vec![], &[("new", &anew), ("a", &anew), ("b", &anew)]);
    carry_over(&mut after, &before);
    let known = tokens(&shared);
    assert!(of_routes(&after).iter().all(|tokens| Arc::ptr_eq(tokens, &known)));
}
