//! A chosen route as a plan: everything the IO needs to forward, redirect or answer, decided up front.

use super::choose::Chosen;
use super::hash::{HashOutcome, hash};
use super::redirect::location;
use super::rewrite::{HostPlan, rewrite_host, rewrite_path};
use super::timeouts::{Timeouts, timeouts};
use crate::dice::Dice;
use crate::failure::Failure;
use crate::matching::view::RequestView;
use crate::model::route::{
    ClusterChoice, ClusterName, Forward, HeaderMutations, Redirect, RetryPolicy, Route, RouteAction,
    WeightedCluster,
};
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
    pub cluster: ClusterName,
    /// Index into the weighted clusters, for that cluster's own header mutations.
    weighted: Option<usize>,
    pub timeouts: Timeouts,
    pub retry: Option<Arc<RetryPolicy>>,
    /// Path and query towards upstream; `None` leaves them.
    pub path: Option<String>,
    pub host: HostPlan,
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
pub fn plan(chosen: &Chosen<'_>, request: &RequestView<'_>, dice: &mut Dice) -> Plan {
    let route = chosen.route;
    if let Some(refusal) = &route.refusal {
        return Plan::Refused(Failure::refused(&refusal.details));
    }
    match &route.action {
        RouteAction::Forward(forward) => plan_forward(route, forward, request, dice),
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

fn plan_forward(route: &Arc<Route>, forward: &Forward, request: &RequestView<'_>, dice: &mut Dice) -> Plan {
    let Some((cluster, weighted)) = choose_cluster(&forward.clusters, request, dice) else {
        return Plan::Refused(Failure::cluster_not_found(forward.cluster_not_found));
    };
    let cluster_host = weighted.and_then(|(_, cluster)| cluster.host_rewrite.as_ref());
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
        cluster,
        weighted: weighted.map(|(index, _)| index),
        timeouts: timeouts(forward, request),
        retry: forward.retry.clone(),
        path: forward
            .rewrite
            .as_ref()
            .map(|rewrite| rewrite_path(rewrite, &route.matcher.path, request.path)),
        host: rewrite_host(forward, cluster_host, request),
        mirrors,
        hash: hash(&forward.hash, request, dice),
    }))
}

type Weighted<'f> = Option<(usize, &'f WeightedCluster)>;

fn choose_cluster<'f>(
    choice: &'f ClusterChoice,
    request: &RequestView<'_>,
    dice: &mut Dice,
) -> Option<(ClusterName, Weighted<'f>)> {
    match choice {
        ClusterChoice::Single(name) => Some((name.clone(), None)),
        ClusterChoice::Weighted { clusters, total } => {
            let index =
                weighted_index(clusters.iter().map(|cluster| cluster.weight), dice.below((*total).into()))?;
            Some((clusters[index].name.clone(), Some((index, &clusters[index]))))
        }
        ClusterChoice::Header(name) => {
            let value = request.headers.get(name)?.to_str().ok()?;
            Some((value.into(), None))
        }
    }
}

/// The entry a point in `0..sum of weights` falls into.
#[must_use]
pub fn weighted_index(weights: impl Iterator<Item = u32>, point: u64) -> Option<usize> {
    let mut end = 0;
    weights
        .enumerate()
        .find(|(_, weight)| {
            end += u64::from(*weight);
            point < end
        })
        .map(|(index, _)| index)
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

    fn weighted_cluster(&self) -> Option<&WeightedCluster> {
        match &self.forward().clusters {
            ClusterChoice::Weighted { clusters, .. } => clusters.get(self.weighted?),
            _ => None,
        }
    }

    /// Mutations of the request, in Envoy's order: the cluster's, then the route's.
    pub fn request_mutations(&self) -> impl Iterator<Item = &HeaderMutations> {
        self.weighted_cluster()
            .map(|cluster| &cluster.request_headers)
            .into_iter()
            .chain([&self.route.request_headers])
    }

    /// Mutations of the response, in the same order.
    pub fn response_mutations(&self) -> impl Iterator<Item = &HeaderMutations> {
        self.weighted_cluster()
            .map(|cluster| &cluster.response_headers)
            .into_iter()
            .chain([&self.route.response_headers])
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) mod sample;
