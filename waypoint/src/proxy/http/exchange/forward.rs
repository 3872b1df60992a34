//! Attempts at a cluster until one gives the answer, or the failure that is the answer.

use super::attempt::{self, Attempt, Ended};
use super::deadlines::{Deadlines, Expired};
use super::request::Request;
use super::upload::{Content, Upload};
use super::{After, Exchange};
use crate::proxy::http::framing;
use crate::proxy::http::header_case::HeaderCase;
use crate::proxy::http::session::{Gone, Session};
use crate::proxy::http::websocket;
use crate::proxy::mirror;
use crate::proxy::upstream::cluster::{self, Aim, Choice};
use crate::proxy::upstream::error::UpstreamError;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use http_body::Body as _;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use waypoint_core::balance::{ActiveRequest, HostId, Observed, Permit};
use waypoint_core::failure::{Failure, ResetContext, ResetReason, ResponseFlag, ResponseFlags};
use waypoint_core::grpc::messages::Messages;
use waypoint_core::grpc::web::Decoder;
use waypoint_core::model::cluster::UpstreamProtocol;
use waypoint_core::routing::headers::{Original, finalize_upstream};
use waypoint_core::routing::plan::ForwardPlan;
use waypoint_core::routing::retry::{Outcome, RetryDecision, RetryState};
use waypoint_core::routing::rewrite::HostPlan;
use waypoint_core::store::ClusterEntry;

const INTERNAL: HeaderName = HeaderName::from_static("x-envoy-internal");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");

/// The request as upstream gets it; cloned for each attempt.
#[derive(Clone)]
pub struct Prepared {
    method: Method,
    path: PathAndQuery,
    host: HeaderValue,
    headers: HeaderMap,
    /// Told to HTTP/2 endpoints. Envoy: as the client said it.
    scheme: &'static str,
    /// The protocol this request changes to.
    pub upgrade: Option<Box<str>>,
    case: Option<Arc<HeaderCase>>,
}

/// What all attempts of one request share.
pub(super) struct Forwarding {
    pub plan: ForwardPlan,
    pub entry: Arc<ClusterEntry>,
    pub prepared: Prepared,
    aim: Aim,
    pub upload: Upload,
    pub retry: RetryState,
    pub deadlines: Deadlines,
    http2: bool,
    tried: Vec<HostId>,
    retry_permit: Option<Permit>,
    _request_permit: Permit,
}

/// Keeps the endpoint's load counted while its response is on the way.
pub(super) struct Chosen {
    pub choice: Choice,
    _active: Option<ActiveRequest>,
}

/// What follows an attempt.
enum Next {
    Done(After),
    Again(Duration),
}

impl Exchange<'_> {
    pub(super) async fn forward<S: Session>(
        &mut self,
        session: &mut S,
        request: Request,
        plan: ForwardPlan,
    ) -> After {
        let mut forwarding = match self.prepare(request, plan).await {
            Ok(forwarding) => forwarding,
            Err(failure) => return self.answer(session, &failure),
        };
        self.start_mirrors(&mut forwarding);
        loop {
            match self.attempt(session, &mut forwarding).await {
                Next::Done(after) => return after,
                Next::Again(pause) if pause.is_zero() => {}
                Next::Again(pause) => {
                    if let Err(gone) = self.pause(session, &mut forwarding, pause).await {
                        return self.gone(session, gone);
                    }
                }
            }
        }
    }

    async fn prepare(&mut self, request: Request, plan: ForwardPlan) -> Result<Forwarding, Failure> {
        let ready = cluster::ready(&self.connection.worker, &self.snapshot, &plan.target.cluster).await;
        let (snapshot, entry) = ready.ok_or_else(|| plan.cluster_not_found())?;
        self.snapshot = snapshot;
        self.record.leads_to(&plan.target.cluster, Some(&entry));
        let overflow = || Failure::reset(ResetReason::Overflow, &ResetContext::default());
        let permit = entry.breakers.request().ok_or_else(overflow)?;
        // The host the client asked for, before the route changes it. Envoy: both look at it before the router does.
        let aim = Aim::new(&self.connection.tunnel, Some(&request.authority));
        let aim = aim.resolve(&self.connection.worker, &entry, None).await?;
        let http2 = match entry.cluster.protocol {
            UpstreamProtocol::Http1 => false,
            UpstreamProtocol::Http2 => true,
            UpstreamProtocol::Downstream => request.version == Version::HTTP_2,
        };
        let length = framing::content_length(&request.headers);
        let prepared = self.upstream_request(request, &plan)?;
        let mut upload = Upload::new(self.has_body, length, std::mem::take(&mut self.early));
        let content = Content {
            decoder: self.grpc_web.and_then(|web| Decoder::of(web.request)),
            messages: self.record.counts_messages().then(Messages::default),
        };
        upload.read_as(content).map_err(|_| Failure::codec_error())?;
        let deadlines = Deadlines::new(&plan.timeouts, &self.chain, tokio::time::Instant::now());
        let retry = RetryState::new(plan.retry.clone());
        Ok(Forwarding {
            plan,
            entry,
            prepared,
            aim,
            upload,
            retry,
            deadlines,
            http2,
            tried: Vec::new(),
            retry_permit: None,
            _request_permit: permit,
        })
    }

    fn upstream_request(&mut self, request: Request, plan: &ForwardPlan) -> Result<Prepared, Failure> {
        let Request { method, path, authority, mut headers, upgrade, version, scheme, case, .. } = request;
        for mutations in plan.request_mutations() {
            self.mutate_request(mutations, &mut headers);
        }
        let own = match &plan.cluster_host {
            Some(host) => host.clone(),
            None => HeaderValue::from_str(&authority).map_err(|_| Failure::codec_error())?,
        };
        let original = Original { path: path.as_str(), authority: own.to_str().unwrap_or_default() };
        finalize_upstream(plan, original, self.record.suppress_envoy, &mut headers);
        let host = match &plan.host {
            HostPlan::Keep | HostPlan::Auto => own,
            HostPlan::Set(host) => host.clone(),
        };
        if let Some(protocol) = &upgrade {
            if plan.forward().upgrades.iter().any(|(name, enabled)| **name == **protocol && !enabled) {
                return Err(Failure::upgrade_failed());
            }
            framing::ask_upgrade(&mut headers);
            if version == Version::HTTP_2 {
                let random = u128::from(self.dice.draw()) << 64 | u128::from(self.dice.draw());
                websocket::add_key(&mut headers, protocol, random);
            }
        }
        let path = plan.path.as_deref().unwrap_or(path.as_str());
        let path = PathAndQuery::try_from(path).map_err(|_| Failure::path_normalization_failed())?;
        Ok(Prepared { method, path, host, headers, scheme, upgrade, case })
    }

    fn start_mirrors(&mut self, forwarding: &mut Forwarding) {
        for plan in std::mem::take(&mut forwarding.plan.mirrors) {
            let body = forwarding.upload.mirror();
            let prepared = forwarding.prepared.clone();
            mirror::start(self.connection, &self.snapshot, plan, prepared, body);
        }
    }

    async fn attempt<S: Session>(&mut self, session: &mut S, forwarding: &mut Forwarding) -> Next {
        let picked = cluster::choose(
            (&forwarding.entry, &self.snapshot),
            &forwarding.aim,
            forwarding.plan.hash.hash,
            forwarding.retry.avoid(&forwarding.tried),
            &mut self.dice,
        );
        let choice = match picked {
            Ok(choice) => choice,
            Err(failure) => return Next::Done(self.answer(session, &failure)),
        };
        if let Some(host) = &choice.host {
            forwarding.tried.push(host.id);
        }
        let active = choice.host.as_ref().map(|host| host.begin());
        let chosen = Chosen { choice, _active: active };
        self.record.attempt(&chosen.choice.destination, forwarding.retry.attempts());
        if !forwarding.retry.may_retry() {
            forwarding.upload.forget();
        }
        let request = self.request_for(forwarding, &chosen);
        let attempt = Attempt {
            worker: &self.connection.worker,
            entry: &forwarding.entry,
            choice: chosen.choice.clone(),
            http2: forwarding.http2,
            request,
        };
        let ended = attempt::run(attempt, session, &mut forwarding.upload, &mut forwarding.deadlines).await;
        self.record.uploaded(&forwarding.upload);
        self.judge(session, forwarding, chosen, ended).await
    }

    fn request_for(
        &self,
        forwarding: &mut Forwarding,
        chosen: &Chosen,
    ) -> http::Request<crate::proxy::http::body::UpstreamBody> {
        let mut prepared = forwarding.prepared.clone();
        if self.record.include_attempt_count {
            prepared.headers.insert(ATTEMPT_COUNT, HeaderValue::from(forwarding.retry.attempts()));
        }
        if forwarding.plan.host == HostPlan::Auto
            && let Some(name) = chosen.choice.host.as_ref().and_then(|host| host.endpoint.hostname.as_deref())
            && let Ok(name) = HeaderValue::from_str(name)
        {
            prepared.host = name;
        }
        prepared.into_request(forwarding.http2, forwarding.upload.attempt())
    }

    /// Reports the attempt, then decides: another one, or this is the answer.
    async fn judge<S: Session>(
        &mut self,
        session: &mut S,
        forwarding: &mut Forwarding,
        chosen: Chosen,
        ended: Ended,
    ) -> Next {
        match ended {
            Ended::Answer(answer) => {
                let head = answer.0.status();
                self.report(forwarding, &chosen.choice, Observed::Status(head.as_u16()));
                let outcome = Outcome::Response { status: head, headers: answer.0.headers() };
                match self.decide_retry(forwarding, &outcome) {
                    RetryDecision::Retry { after } => return Next::Again(after),
                    RetryDecision::LimitExceeded => self.record.flag(ResponseFlag::URX),
                    RetryDecision::No => {}
                }
                Next::Done(self.relay(session, forwarding, chosen, *answer).await)
            }
            Ended::Failed(error) => {
                self.record.transport_failure = error.transport.clone();
                if let Some(observed) = observed(&error) {
                    self.report(forwarding, &chosen.choice, observed);
                }
                let outcome = Outcome::Reset { reason: error.reason, reached_application: !error.unsent };
                let decision = self.decide_retry(forwarding, &outcome);
                let retries_exhausted = match decision {
                    RetryDecision::Retry { after } => return Next::Again(after),
                    RetryDecision::LimitExceeded => true,
                    RetryDecision::No => false,
                };
                let context = ResetContext {
                    retries_exhausted,
                    retried: forwarding.retry.retried(),
                    transport: error.detail(),
                };
                Next::Done(self.answer(session, &Failure::reset(error.reason, &context)))
            }
            Ended::Expired(expired) => self.expired(session, forwarding, &chosen, expired),
            Ended::Gone(gone) => Next::Done(self.gone(session, gone)),
        }
    }

    fn expired<S: Session>(
        &mut self,
        session: &mut S,
        forwarding: &mut Forwarding,
        chosen: &Chosen,
        expired: Expired,
    ) -> Next {
        let mut failure = expired.failure(forwarding.upload.ended());
        if expired != Expired::Request {
            self.report(forwarding, &chosen.choice, Observed::Timeout);
        }
        if expired.is_of_a_try() {
            match self.decide_retry(forwarding, &Outcome::PerTryTimeout) {
                RetryDecision::Retry { after } => return Next::Again(after),
                RetryDecision::LimitExceeded => failure.flags = failure.flags.with(ResponseFlag::URX),
                RetryDecision::No => {}
            }
        }
        Next::Done(self.answer(session, &failure))
    }

    fn decide_retry(&mut self, forwarding: &mut Forwarding, outcome: &Outcome<'_>) -> RetryDecision {
        if !forwarding.upload.can_repeat() || forwarding.prepared.upgrade.is_some() {
            return RetryDecision::No;
        }
        let decision = forwarding.retry.decide(outcome, &mut self.dice);
        if let RetryDecision::Retry { .. } = decision {
            forwarding.retry_permit = None;
            forwarding.retry_permit = forwarding.entry.breakers.retry();
            if forwarding.retry_permit.is_none() {
                self.record.flags = self.record.flags.union(ResponseFlags::of(ResponseFlag::UO));
                return RetryDecision::No;
            }
        }
        decision
    }

    fn report(&self, forwarding: &Forwarding, choice: &Choice, observed: Observed) {
        if let (Some(hosts), Some(host)) = (&forwarding.entry.hosts, &choice.host) {
            hosts.report(host, observed, self.connection.worker.process.started.elapsed());
        }
    }

    /// Waits between attempts, while the request goes on arriving and the client may leave.
    async fn pause<S: Session>(
        &self,
        session: &mut S,
        forwarding: &mut Forwarding,
        pause: Duration,
    ) -> Result<(), Gone> {
        let (_, response) = session.halves();
        let until = tokio::time::Instant::now() + pause;
        let until = forwarding.deadlines.total_at().map_or(until, |total| total.min(until));
        tokio::select! {
            () = tokio::time::sleep_until(until) => Ok(()),
            gone = poll_fn(|cx| crate::proxy::http::session::Response::poll_gone(response, cx)) => Err(gone),
        }
    }
}

/// What a failed attempt says about its endpoint; our own refusal says nothing.
fn observed(error: &UpstreamError) -> Option<Observed> {
    match error.reason {
        ResetReason::Overflow => None,
        reason if reason.is_connect_failure() => Some(Observed::ConnectFailure),
        _ => Some(Observed::Reset),
    }
}

impl Prepared {
    /// A request of our own.
    #[must_use]
    pub fn new(method: Method, path: PathAndQuery, host: HeaderValue, headers: HeaderMap) -> Self {
        Self { method, path, host, headers, scheme: "http", upgrade: None, case: None }
    }

    /// The host upstream sees.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.to_str().ok()
    }

    /// Envoy: what a client of its own sends says so; a copy of a request is such a thing.
    pub fn sent_by(&mut self, address: Option<IpAddr>) {
        self.headers.insert(INTERNAL, HeaderValue::from_static("true"));
        let Some(address) = address else { return };
        let before = self.headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok());
        let list = before.map_or_else(|| address.to_string(), |before| format!("{before},{address}"));
        if let Ok(list) = HeaderValue::try_from(list) {
            self.headers.insert(FORWARDED_FOR, list);
        }
    }

    pub fn append_to_host(&mut self, suffix: &str) {
        let Ok(host) = self.host.to_str() else { return };
        let changed = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
                format!("{name}{suffix}:{port}")
            }
            _ => format!("{host}{suffix}"),
        };
        if let Ok(changed) = HeaderValue::try_from(changed) {
            self.host = changed;
        }
    }

    #[must_use]
    pub fn into_request(
        self,
        http2: bool,
        body: crate::proxy::http::body::UpstreamBody,
    ) -> http::Request<crate::proxy::http::body::UpstreamBody> {
        let Self { method, path, host, mut headers, scheme, upgrade, case } = self;
        let mut request = http::Request::new(body);
        *request.method_mut() = method;
        let mut uri = Uri::from(path.clone()).into_parts();
        if http2 {
            *request.version_mut() = Version::HTTP_2;
            uri.scheme = Some(if scheme == "https" { Scheme::HTTPS } else { Scheme::HTTP });
            uri.authority = host.to_str().ok().and_then(|host| host.parse().ok());
        } else {
            headers.insert(HOST, host);
            // RFC 9110 §8.6, and what Envoy does: where a body could be, its absence is said.
            if request.body().is_end_stream() && may_have_body(request.method()) {
                headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from_static("0"));
            }
        }
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_else(|_| Uri::from(path));
        // Bodies without a length keep having none; hyper chooses the framing.
        if http2 && headers.get(CONTENT_LENGTH).is_some_and(HeaderValue::is_empty) {
            headers.remove(CONTENT_LENGTH);
        }
        *request.headers_mut() = headers;
        if let Some(case) = case {
            request.extensions_mut().insert(case);
        }
        if let Some(protocol) = upgrade.filter(|_| http2) {
            websocket::ask_http2(&mut request, &protocol);
        }
        request
    }

    /// The headers all attempts have in common.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

fn may_have_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::TRACE | Method::CONNECT)
}

/// Whether the endpoint agreed to the upgrade it was asked for; every other answer is an answer like any.
#[must_use]
pub(super) fn upgraded(status: StatusCode, http2: bool, prepared: &Prepared) -> bool {
    let agreed = if http2 { StatusCode::OK } else { StatusCode::SWITCHING_PROTOCOLS };
    prepared.upgrade.is_some() && status == agreed
}
