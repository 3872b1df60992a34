//! The route a request takes: chosen before its filters run, so that what they refuse is logged, counted and answered as
//! that route's. Envoy: the cached route of a stream, and `clear_route_cache` of filters.

use super::Exchange;
use super::request::Request;
use http::HeaderMap;
use std::sync::Arc;
use waypoint_core::model::route::Route;
use waypoint_core::routing::pick::pick;

impl Exchange<'_> {
    /// Chooses by what the request is now.
    pub(super) fn pick(&mut self, request: &Request) {
        let view = request.view(self.connection.tunnel.view(&self.record.metadata));
        self.picked = pick(&self.chain.routes, &view, &mut self.dice);
        let picked = self.picked.as_ref();
        self.record.route = picked.map(|picked| picked.route.name.clone());
        self.record.include_attempt_count = picked.is_some_and(|picked| picked.include_attempt_count);
        self.record.leads_nowhere();
        if let Some(target) = picked.and_then(|picked| picked.target.as_ref()) {
            self.record.leads_to(&target.cluster, self.snapshot.cluster(&target.cluster));
        }
        self.operation.routed(|| picked.and_then(|picked| picked.route.decorator.clone()));
    }

    pub(super) fn route(&self) -> Option<&Arc<Route>> {
        self.picked.as_ref().map(|picked| &picked.route)
    }

    /// The route's changes to a response, whoever wrote it.
    pub(super) fn change_response(&self, headers: &mut HeaderMap) {
        for mutations in self.picked.iter().flat_map(|picked| picked.response_mutations()) {
            self.mutate_response(mutations, headers);
        }
    }
}
