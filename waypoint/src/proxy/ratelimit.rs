//! Asking a rate limit service. Whoever asks enforces what it says; every way not to get an answer is `None`.
//! Envoy: `Common::RateLimit::GrpcClientImpl`.

use super::call::grpc::{self, Unary};
use super::call::{self, Call, Render};
use super::connection::Connection;
use crate::limits;
use http::uri::PathAndQuery;
use std::sync::Arc;
use waypoint_core::model::global_rate_limit::GlobalRateLimit;
use waypoint_core::policy::rate_limit::global::Answer;
use waypoint_core::store::Snapshot;
use waypoint_core::translate::rls;

const METHOD: PathAndQuery =
    PathAndQuery::from_static("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit");

/// `message`: the descriptors, encoded. `None` when they cannot be put into a request.
#[must_use]
pub fn prepare(config: &GlobalRateLimit, message: &[u8], render: Render<'_>) -> Option<Call> {
    let unary = Unary {
        target: &config.service,
        method: METHOD,
        message,
        timeout: config.timeout,
        max_answer: limits::RATE_LIMIT_ANSWER_BYTES,
    };
    unary.prepare(render)
}

pub async fn ask(connection: &Connection, snapshot: &Arc<Snapshot>, call: Option<Call>) -> Option<Answer> {
    let call = call?;
    let cluster = call.cluster.clone();
    match call::call(&connection.worker, snapshot, call).await {
        Ok(reply) => grpc::message(&reply).and_then(rls::decode),
        Err(error) => {
            tracing::debug!(cluster = &*cluster, %error, "rate limit service");
            None
        }
    }
}
