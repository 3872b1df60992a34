//! Who may open a tunnel at all: what `connect_terminate` says before any target is looked at.

use super::connection::Tunnel;
use super::worker::Worker;
use http::{HeaderMap, StatusCode};
use std::borrow::Cow;
use std::net::SocketAddr;
use waypoint_core::failure::Failure;
use waypoint_core::matching::view::NetworkView;
use waypoint_core::model::listener::ConnectFilter;
use waypoint_core::model::metadata::DynamicMetadata;
use waypoint_core::model::rate_limit::LocalRateLimit;
use waypoint_core::policy::rate_limit::descriptors::{self, Subject};
use waypoint_core::policy::rate_limit::{self, Counted, Decision, Limit};
use waypoint_core::policy::{ext_authz, rbac};
use waypoint_core::routing::headers;
use waypoint_core::store::Snapshot;

/// Policies of the waypoint itself, and limits.
///
/// Their ports are those the tunnel arrived at, 15008: the target is for the policies inside.
///
/// # Errors
/// When one of them objects, or there is no configuration yet.
pub fn admit(
    worker: &Worker,
    snapshot: &Snapshot,
    tunnel: &Tunnel,
    arrived_at: SocketAddr,
) -> Result<(), NotAdmitted> {
    let Some(terminate) = &snapshot.connect_terminate else {
        let (status, headers) = (StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new());
        return Err(NotAdmitted { status, headers, reason: "no configuration yet".into() });
    };
    let metadata = DynamicMetadata::default();
    let view = NetworkView { destination: arrived_at, ..tunnel.view(&metadata) };
    for filter in &terminate.filters {
        match filter {
            ConnectFilter::Rbac(policy) => {
                if let Some(denial) = rbac::check_network(policy, &view).denied {
                    return Err(denial.failure().into());
                }
            }
            ConnectFilter::LocalRateLimit(limit) => {
                if let Some(refused) = limited(worker, limit, &view) {
                    return Err(refused);
                }
            }
        }
    }
    Ok(())
}

/// What is left is told only to those who are refused.
fn limited(worker: &Worker, limit: &LocalRateLimit, view: &NetworkView<'_>) -> Option<NotAdmitted> {
    let process = &worker.process;
    let mut dice = worker.dice();
    if !rate_limit::enabled(limit, &mut dice) {
        return None;
    }
    let subject = Subject {
        network: *view,
        request: None,
        route: None,
        destination: Some("main_internal"),
        service_cluster: &process.service_cluster,
    };
    let descriptors = descriptors::local(limit, &subject);
    let now = process.started.elapsed();
    let counted = Counted { descriptors: &descriptors, grpc: false, now, own: None };
    let Decision { limit: Limit::Refuse(failure), response } = rate_limit::decide(limit, counted, &mut dice)
    else {
        return None;
    };
    let mut refused = NotAdmitted::from(failure);
    // Their values hold no formats: `translate` refuses them.
    headers::apply(&limit.response_headers, &mut refused.headers, &mut |_, _| None);
    ext_authz::apply(&response, &mut refused.headers);
    Some(refused)
}

/// The answer to a CONNECT that may not be, and what the log says.
#[derive(Debug)]
pub struct NotAdmitted {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub reason: Cow<'static, str>,
}

impl From<Failure> for NotAdmitted {
    fn from(failure: Failure) -> Self {
        Self { status: failure.status, headers: HeaderMap::new(), reason: failure.details }
    }
}
