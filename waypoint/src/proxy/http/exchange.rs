//! One HTTP request from head to last byte: checks, policy, route, attempts, response, record.
//!
//! Steps are rooms: `request` (what came, made safe), `filters` (istiod's order), `forward` (attempts and retries),
//! `relay` (the response), `record` (what the logs and metrics get). Generic over the downstream session; everything
//! refused leaves as one `Failure`.

pub mod attempt;
mod authenticate;
mod authorize;
mod deadlines;
mod early;
mod filters;
pub mod forward;
mod interim;
mod limit;
mod operation;
pub mod record;
mod relay;
mod request;
mod routed;
mod upgraded;
mod upload;

use self::early::Early;
use self::filters::FilterVerdict;
use self::limit::Limited;
use self::operation::Operation;
use self::record::Record;
use self::request::Request;
use super::head::{Refused, messaging_violation};
use super::reply;
use super::session::{Gone, RequestHead, Response as _, ResponseHead, Session};
use crate::proxy::connection::Connection;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::sync::Arc;
use waypoint_core::dice::Dice;
use waypoint_core::failure::{Failure, ResponseFlag, ResponseFlags};
use waypoint_core::grpc::web::{Encoder, GrpcWeb};
use waypoint_core::model::http_chain::HttpChain;
use waypoint_core::model::route::{Cors, HeaderMutations};
use waypoint_core::policy::cors;
use waypoint_core::policy::ext_authz::{Answer, HeaderChange};
use waypoint_core::routing::pick::Picked;
use waypoint_core::routing::plan::{DIRECT_DETAILS, Plan, plan};
use waypoint_core::store::Snapshot;

pub use upgraded::Upgrade;

/// What the owner of the session does next.
pub enum After {
    /// The response is complete, or was aborted; the session knows.
    Done,
    /// 101 was written; raw bytes follow both ways.
    Upgrade(Box<Upgrade>),
}

/// Everything one request is decided with.
pub struct Exchange<'c> {
    pub connection: &'c Connection,
    pub snapshot: Arc<Snapshot>,
    pub chain: Arc<HttpChain>,
    pub record: Record,
    dice: Dice,
    /// What CORS adds to whatever answer is given.
    cors: Option<(Arc<Cors>, HeaderValue)>,
    picked: Option<Picked>,
    operation: Operation,
    has_body: bool,
    /// What filters read of it.
    early: Early,
    /// What an authorization service adds to the response.
    response_changes: Vec<HeaderChange>,
    /// The request came as gRPC-Web, and the answer goes back as such.
    grpc_web: Option<GrpcWeb>,
    encoder: Option<Encoder>,
}

/// Runs one request. `head` is what the session's own checks made of it.
pub async fn run<S: Session>(
    session: &mut S,
    head: Result<RequestHead, Refused>,
    has_body: bool,
    connection: &Connection,
    (snapshot, chain): (Arc<Snapshot>, Arc<HttpChain>),
) -> After {
    let dice = connection.worker.dice();
    let record = Record::new(&connection.tunnel);
    let mut exchange = Exchange {
        connection,
        snapshot,
        chain,
        record,
        dice,
        cors: None,
        picked: None,
        operation: Operation::default(),
        has_body,
        early: Early::default(),
        response_changes: Vec::new(),
        grpc_web: None,
        encoder: None,
    };
    let after = match exchange.decide(head, session).await {
        Ok((request, plan)) => exchange.carry_out(session, request, plan).await,
        Err(Refusal::Answer(failure)) => exchange.answer(session, &failure),
        Err(Refusal::Challenge(failure, challenge)) => exchange.challenge(session, &failure, challenge),
        Err(Refusal::Denied(denied)) => exchange.answer_denied(session, &denied.0, &denied.1),
        Err(Refusal::Limited(limited)) => exchange.answer_limited(session, &limited),
        Err(Refusal::Head(head, details)) => exchange.answer_with(session, head, details),
        Err(Refusal::Reset(failure)) => exchange.reset(session, &failure),
        Err(Refusal::Gone) => exchange.gone(session, Gone::Reset),
    };
    if let After::Done = after {
        exchange.finish(session).await;
    }
    after
}

/// Why a request goes no further.
pub enum Refusal {
    Answer(Failure),
    /// With `www-authenticate`.
    Challenge(Failure, HeaderValue),
    /// As an authorization service wants it put.
    Denied(Box<(Failure, Answer)>),
    /// With the headers of the limit.
    Limited(Box<Limited>),
    /// A ready answer, e.g. a preflight's.
    Head(Box<ResponseHead>, &'static str),
    /// Not even an answer.
    Reset(Failure),
    /// The client left.
    Gone,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Answer(failure) => Self::Answer(failure),
            Refused::Reset(failure) => Self::Reset(failure),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Answer(failure)
    }
}

impl Exchange<'_> {
    /// Checks, filters and route: everything before an upstream is touched.
    async fn decide<S: Session>(
        &mut self,
        head: Result<RequestHead, Refused>,
        session: &mut S,
    ) -> Result<(Request, Plan), Refusal> {
        let mut request = Request::new(head?, &self.chain, &mut self.dice, &mut self.record)?;
        self.operation = Operation::of_client(request.operation.take());
        self.pick(&request);
        if let Some(failure) = request.refused {
            self.operation = Operation::Unnamed; // Envoy: no span was begun that could name it
            return Err(failure.into());
        }
        let chain = self.chain.clone();
        let request = self.filter(request, &chain, session).await?;
        let picked = self.picked.as_ref().ok_or_else(Failure::route_not_found)?;
        let view = request.view(self.connection.tunnel.view(&self.record.metadata));
        let plan = plan(picked, &view, &mut self.dice);
        Ok((request, plan))
    }

    async fn filter<S: Session>(
        &mut self,
        mut request: Request,
        chain: &Arc<HttpChain>,
        session: &mut S,
    ) -> Result<Request, Refusal> {
        for filter in &chain.filters {
            match self.apply(filter, &mut request) {
                FilterVerdict::Continue => {}
                FilterVerdict::Delay(delay, then) => {
                    filters::wait(delay, session).await.map_err(|_| Refusal::Gone)?;
                    if let Some(failure) = then {
                        return Err(failure.into());
                    }
                }
                FilterVerdict::Authenticate(config) => {
                    self.authenticate(&config, &mut request, session).await?;
                }
                FilterVerdict::Authorize(config) => self.authorize(&config, &mut request, session).await?,
                FilterVerdict::Ask(config) => self.limit_globally(&config, &mut request, session).await?,
                FilterVerdict::Limit(limited) => return Err(Refusal::Limited(limited)),
                FilterVerdict::Refuse(failure) => return Err(failure.into()),
                FilterVerdict::Answer(head, details) => {
                    self.record.request_headers = std::mem::take(&mut request.headers);
                    return Err(Refusal::Head(head, details));
                }
            }
        }
        Ok(request)
    }

    /// There is nothing more to read of the request.
    fn has_whole_body(&self) -> bool {
        !self.has_body || self.early.end.is_some()
    }

    async fn carry_out<S: Session>(&mut self, session: &mut S, request: Request, plan: Plan) -> After {
        match plan {
            Plan::Forward(plan) => self.forward(session, request, *plan).await,
            Plan::Redirect { status, location } => {
                let mut head = ResponseHead::new(status);
                head.set(LOCATION, location);
                self.routed_answer(session, head, bytes::Bytes::new())
            }
            Plan::Direct { status, body } => self.routed_answer(session, ResponseHead::new(status), body),
            Plan::Refused(failure) => self.answer(session, &failure),
        }
    }

    /// A redirect or direct response: the route's own header changes apply.
    fn routed_answer<S: Session>(
        &mut self,
        session: &mut S,
        mut head: ResponseHead,
        body: bytes::Bytes,
    ) -> After {
        self.record.details = DIRECT_DETAILS.into();
        let body = reply::direct(&mut head, body, self.record.grpc);
        self.local_reply(session, head, body)
    }

    /// A refusal, as the client is to see it.
    pub fn answer<S: Session>(&mut self, session: &mut S, failure: &Failure) -> After {
        self.record.failed(failure);
        let (mut head, body) = reply::of(failure, self.record.grpc);
        if failure.flags.contains(ResponseFlag::UO) && !self.record.suppress_envoy {
            head.set(reply::OVERLOADED, HeaderValue::from_static("true"));
        }
        self.local_reply(session, head, body)
    }

    fn answer_denied<S: Session>(&mut self, session: &mut S, failure: &Failure, answer: &Answer) -> After {
        self.record.failed(failure);
        let (head, body) = reply::denied(failure, answer, self.record.grpc);
        self.local_reply(session, head, body)
    }

    fn answer_limited<S: Session>(&mut self, session: &mut S, limited: &Limited) -> After {
        let Limited { failure, reply, headers } = limited;
        self.record.failed(failure);
        let (mut head, body) = match reply {
            Some(reply) => reply::denied(failure, reply, self.record.grpc),
            None => reply::of(failure, self.record.grpc),
        };
        self.mutate_response(headers, &mut head.headers);
        self.local_reply(session, head, body)
    }

    fn answer_with<S: Session>(
        &mut self,
        session: &mut S,
        mut head: Box<ResponseHead>,
        details: &'static str,
    ) -> After {
        self.record.details = details.into();
        reply::frame(&mut head, 0);
        self.finish_head(&mut head);
        self.send(session, *head, bytes::Bytes::new())
    }

    /// Envoy: the route's header changes apply to local replies too, and its content type comes before ours.
    fn local_reply<S: Session>(
        &mut self,
        session: &mut S,
        mut head: ResponseHead,
        body: bytes::Bytes,
    ) -> After {
        let content_type = head.headers.remove(CONTENT_TYPE);
        self.change_response(&mut head.headers);
        if let Some(content_type) = content_type {
            head.headers.entry(CONTENT_TYPE).or_insert(content_type);
        }
        self.finish_head(&mut head);
        self.record.bytes_sent += body.len() as u64;
        self.send(session, head, body)
    }

    /// An answer of our own, whole.
    fn send<S: Session>(&self, session: &mut S, head: ResponseHead, body: bytes::Bytes) -> After {
        let (_, response) = session.halves();
        if self.record.close_after {
            response.close_after();
        }
        response.head(head, body.is_empty());
        if !body.is_empty() {
            response.data(body, true);
        }
        After::Done
    }

    /// The client is no longer there to answer to.
    pub fn gone<S: Session>(&mut self, session: &mut S, how: Gone) -> After {
        match how {
            Gone::Protocol if self.record.is_http2() => return self.reset(session, &messaging_violation()),
            Gone::Protocol if self.record.status.is_none() => {
                return self.answer(session, &Failure::codec_error());
            }
            Gone::Protocol => self.record.flag(ResponseFlag::DPE),
            Gone::Reset => {
                let failure = Failure::downstream_disconnect();
                self.record.flags = self.record.flags.union(failure.flags);
                self.record.details = failure.details;
            }
        }
        self.abort(session);
        After::Done
    }

    /// Ends what was begun so that the client cannot take it for complete.
    fn abort<S: Session>(&mut self, session: &mut S) {
        self.record.aborted = true;
        session.halves().1.abort();
    }

    /// Ends the stream without an answer; the log says why.
    fn reset<S: Session>(&mut self, session: &mut S, failure: &Failure) -> After {
        self.record.failed(failure);
        self.abort(session);
        After::Done
    }

    /// What every response carries, whoever wrote it.
    pub fn finish_head(&mut self, head: &mut ResponseHead) {
        waypoint_core::policy::ext_authz::apply(&self.response_changes, &mut head.headers);
        if let Some((cors, origin)) = &self.cors {
            cors::response_headers(cors, origin, &mut head.headers);
        }
        if let Some(operation) = self.operation.told()
            && self.chain.names_operation
            && !self.record.suppress_envoy
        {
            head.set(reply::DECORATOR, operation.clone());
        }
        self.encoder = self.grpc_web.and_then(|web| web.respond(&mut head.headers));
        reply::stamp(head, self.chain.server.as_ref());
        if self.connection.worker.process.drain.is_started() {
            self.record.close_after = true;
        }
        self.record.response(head);
    }

    /// Applies configured changes of a request, with formats evaluated over what is known so far.
    fn mutate_request(&self, mutations: &HeaderMutations, headers: &mut HeaderMap) {
        let context = record::Context { snapshot: &self.snapshot, connection: self.connection };
        waypoint_core::routing::headers::apply(mutations, headers, &mut |format, now| {
            self.record.render_request(&context, format, now)
        });
    }

    fn mutate_response(&self, mutations: &HeaderMutations, headers: &mut HeaderMap) {
        let context = record::Context { snapshot: &self.snapshot, connection: self.connection };
        waypoint_core::routing::headers::apply(mutations, headers, &mut |format, now| {
            self.record.render_response(&context, format, now)
        });
    }

    async fn finish<S: Session>(&mut self, session: &mut S) {
        let (_, response) = session.halves();
        let drained = std::future::poll_fn(|cx| response.poll_drained(cx)).await;
        if drained.is_err() && !self.record.aborted {
            self.record.flag(ResponseFlag::DC);
        }
        let context = record::Context { snapshot: &self.snapshot, connection: self.connection };
        self.record.write(&context, &self.chain, self.operation.text());
    }
}

/// `503`, for a connection whose chain cannot be served at all.
#[must_use]
pub fn unserved() -> Failure {
    Failure {
        status: StatusCode::SERVICE_UNAVAILABLE,
        flags: ResponseFlags::of(ResponseFlag::NR),
        details: "filter_chain_not_found".into(),
        ..Failure::route_not_found()
    }
}
