//! The rate limit filters: what is counted here, and what a service counts. Both are decided by the core.

use super::filters::{FilterVerdict, unless_gone};
use super::request::Request;
use super::{Exchange, Refusal, record};
use crate::proxy::call::Call;
use crate::proxy::connection::Connection;
use crate::proxy::http::session::Session;
use crate::proxy::ratelimit;
use std::sync::Arc;
use waypoint_core::failure::Failure;
use waypoint_core::matching::view::RequestView;
use waypoint_core::model::descriptor::Told;
use waypoint_core::model::global_rate_limit::GlobalRateLimit;
use waypoint_core::model::metadata::MetadataValue;
use waypoint_core::model::rate_limit::{LocalRateLimit, named};
use waypoint_core::model::route::HeaderMutations;
use waypoint_core::policy::ext_authz::{self, Answer};
use waypoint_core::policy::rate_limit::descriptors::{self, Subject};
use waypoint_core::policy::rate_limit::global::{self, Verdict};
use waypoint_core::policy::rate_limit::{self, Counted, Limit};
use waypoint_core::routing::pick::Picked;
use waypoint_core::translate::rls;

/// A request over a limit, and what its answer carries.
pub struct Limited {
    pub failure: Failure,
    /// As the service wants it put.
    pub reply: Option<Answer>,
    /// As the filter's configuration wants it.
    pub headers: Arc<HeaderMutations>,
}

/// What a service is asked.
struct Question {
    /// `None` when it cannot be put.
    call: Option<Call>,
    /// What each descriptor says of telling clients.
    told: Vec<Told>,
}

impl Exchange<'_> {
    pub(super) fn limit_locally(
        &mut self,
        filter: &Arc<LocalRateLimit>,
        request: &mut Request,
    ) -> FilterVerdict {
        let of_route = self.route().and_then(|route| named(&route.limits.local, &filter.name));
        let limit = &of_route.unwrap_or(filter).clone();
        if !rate_limit::enabled(limit, &mut self.dice) {
            return FilterVerdict::Continue;
        }
        let view = request.view(self.connection.tunnel.view(&self.record.metadata));
        let subject = subject(self.connection, view, self.picked.as_ref());
        let descriptors = descriptors::local(limit, &subject);
        let mut own = limit.per_connection.then(|| self.connection.own_buckets());
        let counted = Counted {
            descriptors: &descriptors,
            grpc: self.record.grpc,
            now: self.connection.worker.process.started.elapsed(),
            own: own.as_deref_mut(),
        };
        let decision = rate_limit::decide(limit, counted, &mut self.dice);
        drop(own);
        self.response_changes.extend(decision.response);
        match decision.limit {
            Limit::Pass => FilterVerdict::Continue,
            Limit::Mark => {
                self.mutate_request(&limit.request_headers_when_not_enforced, &mut request.headers);
                FilterVerdict::Continue
            }
            Limit::Refuse(failure) => {
                let headers = limit.response_headers.clone();
                FilterVerdict::Limit(Box::new(Limited { failure, reply: None, headers }))
            }
        }
    }

    pub(super) async fn limit_globally<S: Session>(
        &mut self,
        config: &GlobalRateLimit,
        request: &mut Request,
        session: &mut S,
    ) -> Result<(), Refusal> {
        if !global::enabled(config, &mut self.dice) {
            return Ok(());
        }
        let Some(Question { call, told }) = self.question(config, request) else { return Ok(()) };
        let asking = ratelimit::ask(self.connection, &self.snapshot, call);
        let mut answer = unless_gone(self.has_whole_body(), session, asking).await?;
        let metadata = answer.as_mut().and_then(|answer| answer.metadata.take());
        if let Some(MetadataValue::Struct(fields)) = metadata {
            self.record.metadata.merge(&config.metadata_namespace, fields);
        }
        match global::judge(config, &told, answer, self.record.grpc, &mut self.dice) {
            Verdict::Pass { request: changes, response } => {
                if !changes.is_empty() {
                    ext_authz::apply(&changes, &mut request.headers);
                    self.record.request_headers = request.headers.clone();
                }
                self.response_changes.extend(response);
                Ok(())
            }
            Verdict::OverLimit(failure, reply) => {
                let headers = config.response_headers.clone();
                Err(Refusal::Limited(Box::new(Limited { failure, reply: Some(reply), headers })))
            }
            Verdict::Error(failure) => Err(failure.into()),
        }
    }

    /// `None`: the request goes nowhere, or there is nothing to count it by.
    fn question(&self, config: &GlobalRateLimit, request: &Request) -> Option<Question> {
        let picked = self.picked.as_ref()?;
        self.snapshot.cluster(&picked.target.as_ref()?.cluster)?;
        let per_route = named(&picked.route.limits.global, &config.name);
        let view = request.view(self.connection.tunnel.view(&self.record.metadata));
        let subject = subject(self.connection, view, Some(picked));
        let descriptors = descriptors::global(config, per_route.map(|route| &**route), &subject);
        if descriptors.is_empty() {
            return None;
        }
        let domain = per_route.and_then(|route| route.domain.as_ref()).unwrap_or(&config.domain);
        let context = record::Context { snapshot: &self.snapshot, connection: self.connection };
        let message = rls::encode(domain, &descriptors);
        let call =
            ratelimit::prepare(config, &message, &mut |format, _| self.record.render(&context, format));
        Some(Question { call, told: descriptors.iter().map(|descriptor| descriptor.told).collect() })
    }
}

fn subject<'a>(connection: &'a Connection, view: RequestView<'a>, picked: Option<&'a Picked>) -> Subject<'a> {
    let forwarded = picked.and_then(|picked| Some((&picked.route.limits, picked.target.as_ref()?)));
    Subject {
        network: view.connection,
        request: Some(view),
        route: forwarded.map(|(limits, _)| limits),
        destination: forwarded.map(|(_, target)| &*target.cluster),
        service_cluster: &connection.worker.process.service_cluster,
    }
}
