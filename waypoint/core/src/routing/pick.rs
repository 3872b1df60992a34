//! The route of a request and where it leads, chosen before the filters run: what they refuse is logged, counted and
//! answered as that route's. A filter may ask for another choice. Envoy: the cached route of a stream.

use super::choose::choose;
use crate::dice::Dice;
use crate::matching::view::RequestView;
use crate::model::route::{
    ClusterChoice, ClusterName, Forward, HeaderMutations, Route, RouteAction, RouteTable, WeightedCluster,
};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct Picked {
    pub route: Arc<Route>,
    /// `None` where nothing is forwarded, or the header that should name the cluster is missing.
    pub target: Option<Target>,
    /// Of its virtual host.
    pub include_attempt_count: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub cluster: ClusterName,
    /// Index into the weighted clusters, for that cluster's own header mutations.
    pub(super) weighted: Option<usize>,
}

/// `None` is a 404, `route_not_found`.
#[must_use]
pub fn pick(table: &RouteTable, request: &RequestView<'_>, dice: &mut Dice) -> Option<Picked> {
    let chosen = choose(table, request)?;
    let include_attempt_count = chosen.virtual_host.include_request_attempt_count;
    Some(Picked { include_attempt_count, ..Picked::of(chosen.route, request, dice) })
}

impl Picked {
    #[must_use]
    pub(super) fn of(route: &Arc<Route>, request: &RequestView<'_>, dice: &mut Dice) -> Self {
        let target = match &route.action {
            RouteAction::Forward(forward) if route.refusal.is_none() => target(forward, request, dice),
            _ => None,
        };
        Self { route: route.clone(), target, include_attempt_count: false }
    }

    /// Mutations of the response, in Envoy's order: the cluster's, then the route's.
    pub fn response_mutations(&self) -> impl Iterator<Item = &HeaderMutations> {
        let weighted = self.target.as_ref().and_then(|target| self.route.weighted(target.weighted));
        weighted.map(|cluster| &cluster.response_headers).into_iter().chain([&self.route.response_headers])
    }
}

impl Route {
    pub(super) fn weighted(&self, index: Option<usize>) -> Option<&WeightedCluster> {
        match &self.action {
            RouteAction::Forward(forward) => match &forward.clusters {
                ClusterChoice::Weighted { clusters, .. } => clusters.get(index?),
                ClusterChoice::Single(_) | ClusterChoice::Header(_) => None,
            },
            RouteAction::Redirect(_) | RouteAction::DirectResponse { .. } => None,
        }
    }
}

fn target(forward: &Forward, request: &RequestView<'_>, dice: &mut Dice) -> Option<Target> {
    match &forward.clusters {
        ClusterChoice::Single(name) => Some(Target { cluster: name.clone(), weighted: None }),
        ClusterChoice::Weighted { clusters, total } => {
            let weights = clusters.iter().map(|cluster| cluster.weight);
            let index = weighted_index(weights, dice.below((*total).into()))?;
            Some(Target { cluster: clusters[index].name.clone(), weighted: Some(index) })
        }
        ClusterChoice::Header(name) => {
            let value = request.headers.get(name)?.to_str().ok()?;
            Some(Target { cluster: value.into(), weighted: None })
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
