//! The JWT filter: tokens are judged by the core, the request is changed as they say.

use super::request::Request;
use super::{After, Exchange, Refusal};
use crate::proxy::http::reply;
use crate::proxy::http::session::{Response as _, Session};
use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use std::future::poll_fn;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use waypoint_core::failure::Failure;
use waypoint_core::model::jwt::JwtAuthn;
use waypoint_core::policy::jwt::{self, Effects, JwtStatus, Verdict};

impl Exchange<'_> {
    pub(super) async fn authenticate<S: Session>(
        &mut self,
        config: &JwtAuthn,
        request: &mut Request,
        session: &mut S,
    ) -> Result<(), Refusal> {
        jwt::sanitize(config, &mut request.headers);
        let cache = &self.connection.worker.process.jwks;
        let mut deadline = None;
        let status = loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let view = request.view(self.connection.tunnel.view(&self.record.metadata));
            match jwt::check(config, &view, &cache.load(), now) {
                Verdict::Pass(effects) => {
                    self.believe(effects, request);
                    return Ok(());
                }
                Verdict::Deny(status) => break status,
                Verdict::Wait(source) => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + source.timeout);
                    if Instant::now() >= deadline {
                        break JwtStatus::FetchFailed;
                    }
                    let (_, response) = session.halves();
                    tokio::select! {
                        () = cache.known(&source, deadline) => {}
                        _ = poll_fn(|cx| response.poll_gone(cx)) => return Err(Refusal::Gone),
                    }
                }
            }
        };
        Err(self.unauthenticated(config, request, status))
    }

    fn believe(&mut self, effects: Effects, request: &mut Request) {
        if !effects.change_request() {
            return;
        }
        let reroute = effects.reroute();
        effects.apply(&mut request.headers, &mut request.path, &mut self.record.metadata);
        self.record.request_headers = request.headers.clone();
        if reroute {
            self.pick(request);
        }
    }

    fn unauthenticated(&self, config: &JwtAuthn, request: &Request, status: JwtStatus) -> Refusal {
        let mut failure = status.failure();
        if config.strip_failure_response {
            failure.body = "".into();
            return failure.into();
        }
        let view = request.view(self.connection.tunnel.view(&self.record.metadata));
        match jwt::challenge(status, &view) {
            Some(challenge) => Refusal::Challenge(failure, challenge),
            None => failure.into(),
        }
    }

    /// A refusal that says how to do better.
    pub(super) fn challenge<S: Session>(
        &mut self,
        session: &mut S,
        failure: &Failure,
        challenge: HeaderValue,
    ) -> After {
        self.record.failed(failure);
        let (mut head, body) = reply::of(failure, self.record.grpc);
        head.set(WWW_AUTHENTICATE, challenge);
        self.local_reply(session, head, body)
    }
}
