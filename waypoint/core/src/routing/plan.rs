//! A chosen route as a plan: everything the IO needs to forward, redirect or answer, decided up front.

use super::hash::{HashOutcome, hash};
use super::pick::{Picked, Target};
use super::redirect::location;
use super::rewrite::{HostPlan, rewrite_host, rewrite_path};
use super::timeouts::{Timeouts, timeouts};
use crate::dice::Dice;
use crate::failure::Failure;
use crate::matching::view::RequestView;
use crate::model::route::{ClusterName, Forward, HeaderMutations, Redirect, RetryPolicy, Route, RouteAction};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use std::sync::Arc;

/// `%RESPONSE_CODE_DETAILS%` of redirects and direct responses.
pub const DIRECT_DETAILS: &str = "direct_response";

#[derive(Clone, Debug)]
pub enum Plan {
    Forward(Box<ForwardPlan>),
    Redirect { status: StatusCode, location: HeaderValue },
    Direct { status: StatusCode, body: Bytes },
    Refused(Failure),
}

#[derive(Clone, Debug)]
pub struct ForwardPlan {
    route: Arc<Route>,
    pub target: Target,
    pub timeouts: Timeouts,
    pub retry: Option<Arc<RetryPolicy>>,
    /// Path and query towards upstream; `None` leaves them.
    pub path: Option<String>,
    pub host: HostPlan,
    /// Of the weighted cluster. Envoy: the route's own rewrite comes after it, and takes it for the original.
    pub cluster_host: Option<HeaderValue>,
    /// Clusters that get a copy; `append_shadow_suffix` beside each.
    pub mirrors: Vec<MirrorPlan>,
    pub hash: HashOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorPlan {
    pub cluster: ClusterName,
    pub append_shadow_suffix: bool,
}

#[must_use]
pub fn plan(picked: &Picked, request: &RequestView<'_>, dice: &mut Dice) -> Plan {
    let route = &picked.route;
    if let Some(refusal) = &route.refusal {
        return Plan::Refused(Failure::refused(&refusal.details));
    }
    match &route.action {
        RouteAction::Forward(forward) => plan_forward(picked, forward, request, dice),
        RouteAction::Redirect(redirect) => plan_redirect(route, redirect, request),
        RouteAction::DirectResponse { status, body } => Plan::Direct { status: *status, body: body.clone() },
    }
}

fn plan_redirect(route: &Route, redirect: &Redirect, request: &RequestView<'_>) -> Plan {
    match location(redirect, &route.matcher.path, request) {
        Some(location) => Plan::Redirect { status: redirect.status, location },
        None => Plan::Refused(Failure::path_normalization_failed()),
    }
}

fn plan_forward(picked: &Picked, forward: &Forward, request: &RequestView<'_>, dice: &mut Dice) -> Plan {
    let Some(target) = picked.target.clone() else {
        return Plan::Refused(Failure::cluster_not_found(forward.cluster_not_found));
    };
    let route = &picked.route;
    let cluster_host = route.weighted(target.weighted).and_then(|cluster| cluster.host_rewrite.as_ref());
    let mirrors = forward
        .mirrors
        .iter()
        .filter(|mirror| dice.chance(mirror.fraction.numerator, mirror.fraction.denominator))
        .map(|mirror| MirrorPlan {
            cluster: mirror.cluster.clone(),
            append_shadow_suffix: mirror.append_shadow_suffix,
        })
        .collect();
    Plan::Forward(Box::new(ForwardPlan {
        route: route.clone(),
        timeouts: timeouts(forward, request),
        retry: forward.retry.clone(),
        path: forward
            .rewrite
            .as_ref()
            .map(|rewrite| rewrite_path(rewrite, &route.matcher.path, request.path)),
        host: rewrite_host(forward, request),
        cluster_host: cluster_host.cloned(),
        mirrors,
        hash: hash(&forward.hash, request, dice),
        target,
    }))
}

impl ForwardPlan {
    #[must_use]
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    #[must_use]
    pub fn forward(&self) -> &Forward {
        match &self.route.action {
            RouteAction::Forward(forward) => forward,
            _ => unreachable!("a forward plan is made of a forward route only"),
        }
    }

    /// The answer when `cluster` is not there.
    #[must_use]
    pub fn cluster_not_found(&self) -> Failure {
        Failure::cluster_not_found(self.forward().cluster_not_found)
    }

    /// Mutations of the request, in Envoy's order: the cluster's, then the route's.
    pub fn request_mutations(&self) -> impl Iterator<Item = &HeaderMutations> {
        let weighted = self.route.weighted(self.target.weighted);
        weighted.map(|cluster| &cluster.request_headers).into_iter().chain([&self.route.request_headers])
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) mod sample;
