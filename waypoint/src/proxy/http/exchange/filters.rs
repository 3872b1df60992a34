//! The HTTP filters, in the order istiod gave them.

use super::limit::Limited;
use super::request::{FORWARDED_CLIENT_CERT, Request};
use super::{Exchange, Refusal};
use crate::proxy::http::session::{Gone, RequestBody as _, Response as _, ResponseHead, Session};
use http::{HeaderValue, StatusCode};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use waypoint_core::failure::{Failure, ResponseFlag};
use waypoint_core::grpc::web::GrpcWeb;
use waypoint_core::model::ext_authz::ExtAuthz;
use waypoint_core::model::global_rate_limit::GlobalRateLimit;
use waypoint_core::model::http_chain::HttpFilter;
use waypoint_core::model::jwt::JwtAuthn;
use waypoint_core::model::rbac::Rbac;
use waypoint_core::policy::cors::{self, CorsDecision};
use waypoint_core::policy::{fault, rbac};

pub(super) enum FilterVerdict {
    Continue,
    /// Wait, then go on, or refuse after all.
    Delay(Duration, Option<Failure>),
    /// Look at its tokens first.
    Authenticate(Arc<JwtAuthn>),
    Limit(Box<Limited>),
    /// Ask first whether it may.
    Authorize(Arc<ExtAuthz>),
    /// Ask first whether it is one too many.
    Ask(Arc<GlobalRateLimit>),
    Refuse(Failure),
    Answer(Box<ResponseHead>, &'static str),
}

impl Exchange<'_> {
    pub(super) fn apply(&mut self, filter: &HttpFilter, request: &mut Request) -> FilterVerdict {
        match filter {
            HttpFilter::JwtAuthn(config) => FilterVerdict::Authenticate(config.clone()),
            HttpFilter::Rbac(rbac) => self.check_rbac(rbac, request),
            HttpFilter::ExtAuthz(config) => FilterVerdict::Authorize(config.clone()),
            HttpFilter::LocalRateLimit(limit) => self.limit_locally(limit, request),
            HttpFilter::RateLimit(config) => FilterVerdict::Ask(config.clone()),
            HttpFilter::Fault => self.inject_fault(request),
            HttpFilter::Cors => self.check_cors(request),
            HttpFilter::ClientIdentityXfcc => {
                self.tell_client_identity(request);
                FilterVerdict::Continue
            }
            HttpFilter::Router { suppress_envoy_headers } => {
                self.record.suppress_envoy = *suppress_envoy_headers;
                FilterVerdict::Continue
            }
            HttpFilter::GrpcWeb => {
                self.grpc_web = GrpcWeb::begin(&mut request.headers);
                self.record.grpc |= self.grpc_web.is_some();
                FilterVerdict::Continue
            }
            HttpFilter::GrpcStats => {
                self.record.count_messages();
                FilterVerdict::Continue
            }
            // It only observes: it is read when the record is written.
            HttpFilter::Stats(_) => FilterVerdict::Continue,
        }
    }

    fn check_rbac(&mut self, policy: &Arc<Rbac>, request: &Request) -> FilterVerdict {
        let decision = rbac::check(policy, &request.view(self.connection.tunnel.view(&self.record.metadata)));
        if let Some(shadow) = &decision.shadow {
            shadow.tell("envoy.filters.http.rbac", &policy.shadow_stat_prefix, &mut self.record.metadata);
        }
        decision.denied.map_or(FilterVerdict::Continue, |denial| FilterVerdict::Refuse(denial.failure()))
    }

    fn inject_fault(&mut self, request: &Request) -> FilterVerdict {
        let Some(fault) = self.route().and_then(|route| route.fault.clone()) else {
            return FilterVerdict::Continue;
        };
        let view = request.view(self.connection.tunnel.view(&self.record.metadata));
        let decision = fault::decide(&fault, &view, &mut self.dice);
        let abort = decision.abort_failure();
        match (decision.delay, abort) {
            (Some(delay), abort) => {
                self.record.flag(ResponseFlag::DI);
                FilterVerdict::Delay(delay, abort)
            }
            (None, Some(failure)) => FilterVerdict::Refuse(failure),
            (None, None) => FilterVerdict::Continue,
        }
    }

    fn check_cors(&mut self, request: &Request) -> FilterVerdict {
        let Some(rules) = self.route().and_then(|route| route.cors.clone()) else {
            return FilterVerdict::Continue;
        };
        match cors::decide(&rules, &request.view(self.connection.tunnel.view(&self.record.metadata))) {
            CorsDecision::Ignore => FilterVerdict::Continue,
            CorsDecision::Apply { origin } => {
                self.cors = Some((rules, origin));
                FilterVerdict::Continue
            }
            CorsDecision::Preflight { origin } => {
                let mut head = ResponseHead::new(StatusCode::OK);
                cors::preflight_headers(&rules, origin.as_ref(), &request.headers, &mut head.headers);
                FilterVerdict::Answer(Box::new(head), "cors_response")
            }
        }
    }

    /// `By=<our identity>;URI=<the client's>`; identities have no characters that need quoting.
    fn tell_client_identity(&self, request: &mut Request) {
        let local = &self.connection.worker.process.local_principal;
        let peer = self.connection.tunnel.principal.as_deref().unwrap_or_default();
        if let Ok(value) = HeaderValue::try_from(format!("By={local};URI={peer}")) {
            request.headers.insert(FORWARDED_CLIENT_CERT, value);
        }
    }
}

/// An injected delay ends early when the client does.
pub(super) async fn wait<S: Session>(delay: Duration, session: &mut S) -> Result<(), Gone> {
    let (_, response) = session.halves();
    tokio::select! {
        () = tokio::time::sleep(delay) => Ok(()),
        gone = poll_fn(|cx| response.poll_gone(cx)) => Err(gone),
    }
}

/// What `work` comes to; a client that leaves meanwhile ends it. `complete`: there is nothing more to read of the request.
pub(super) async fn unless_gone<S: Session, T>(
    complete: bool,
    session: &mut S,
    work: impl Future<Output = T>,
) -> Result<T, Refusal> {
    let (reading, response) = session.halves();
    let gone =
        async { if complete { reading.gone().await } else { poll_fn(|cx| response.poll_gone(cx)).await } };
    tokio::select! {
        done = work => Ok(done),
        _ = gone => Err(Refusal::Gone),
    }
}
