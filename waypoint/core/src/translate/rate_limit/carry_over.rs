//! A chain that changed goes on with the tokens it had: a route pushed must not open a limit.
//!
//! Differs from Envoy, which fills all buckets of a chain with any change of it. What a limit was before is found by its
//! place, a filter by its position among the chain's limits, a route's limit by virtual host and route; a bucket goes on
//! where its rate is the same.

use crate::model::http_chain::{HttpChain, HttpFilter};
use crate::model::rate_limit::{DescriptorTokens, LocalDescriptor, LocalRateLimit, named};
use crate::model::route::{Route, RouteTable, VirtualHost};
use std::sync::Arc;

pub(in crate::translate) fn carry_over(chain: &mut HttpChain, before: &HttpChain) {
    let known = before.filters.iter().filter_map(limit);
    let filters = chain.filters.iter_mut().filter(|filter| limit(filter).is_some());
    for (filter, known) in filters.zip(known) {
        if let HttpFilter::LocalRateLimit(limit) = filter {
            go_on(Arc::make_mut(limit), known);
        }
    }
    let mut routes = chain.routes.virtual_hosts.iter().flat_map(|host| host.routes.iter());
    if routes.any(|route| !route.limits.local.is_empty()) {
        self::routes(Arc::make_mut(&mut chain.routes), &before.routes);
    }
}

fn limit(filter: &HttpFilter) -> Option<&LocalRateLimit> {
    match filter {
        HttpFilter::LocalRateLimit(limit) => Some(limit),
        _ => None,
    }
}

/// What a limit was made as, and with the tokens it goes on with: a virtual host's limit is one for all its routes, new
/// ones too, and stays one.
type Carried = Vec<(Arc<LocalRateLimit>, Arc<LocalRateLimit>)>;

fn routes(table: &mut RouteTable, before: &RouteTable) {
    for host in &mut table.virtual_hosts {
        let Some(before) = before.virtual_hosts.iter().find(|known| known.name == host.name) else {
            continue;
        };
        let mut list = std::mem::take(&mut host.routes).to_vec();
        let mut carried = Carried::new();
        for (index, route) in list.iter().enumerate() {
            if let Some(known) = same_route(before, index, route) {
                carry(route, known, &mut carried);
            }
        }
        let routes = list.iter_mut().filter_map(Arc::get_mut);
        for (_, limit) in routes.flat_map(|route| route.limits.local.iter_mut()) {
            if let Some((_, goes_on)) = carried.iter().find(|(made, _)| Arc::ptr_eq(made, limit)) {
                *limit = goes_on.clone();
            }
        }
        host.routes = list.into();
    }
}

fn carry(route: &Route, before: &Route, carried: &mut Carried) {
    for (name, limit) in &route.limits.local {
        if let Some(known) = named(&before.limits.local, name)
            && carried.iter().all(|(made, _)| !Arc::ptr_eq(made, limit))
        {
            let mut goes_on = LocalRateLimit::clone(limit);
            go_on(&mut goes_on, known);
            carried.push((limit.clone(), Arc::new(goes_on)));
        }
    }
}

/// The route of that name, the one at the same position where several have it.
fn same_route<'b>(before: &'b VirtualHost, index: usize, route: &Route) -> Option<&'b Arc<Route>> {
    let at_index = before.routes.get(index).filter(|known| known.name == route.name);
    at_index.or_else(|| before.routes.iter().find(|known| known.name == route.name))
}

fn go_on(limit: &mut LocalRateLimit, before: &LocalRateLimit) {
    if let (Some(bucket), Some(known)) = (&mut limit.bucket, &before.bucket)
        && bucket.rate == known.rate
    {
        bucket.tokens = known.tokens.clone();
    }
    for descriptor in &mut limit.descriptors {
        if let Some(known) = before.descriptors.iter().find(|known| counts_the_same(descriptor, known)) {
            descriptor.tokens = known.tokens.clone();
        }
    }
}

fn counts_the_same(one: &LocalDescriptor, other: &LocalDescriptor) -> bool {
    one.rate == other.rate && one.entries == other.entries && kept(one) == kept(other)
}

/// How many buckets there may be.
fn kept(descriptor: &LocalDescriptor) -> usize {
    match &descriptor.tokens {
        DescriptorTokens::One(_) => 1,
        DescriptorTokens::PerValues(seen) => seen.seen.lock().map_or(0, |seen| seen.cap().get()),
    }
}

#[cfg(test)]
mod tests;
