//! The response on its way to the client, while the rest of the request may still be on its way up.
//!
//! Back-pressure: the next piece is taken from upstream only when the client's transport took the last one.

use super::attempt::{Answer, arm, expired, take};
use super::deadlines::{Deadlines, Expired};
use super::forward::{Chosen, Forwarding, upgraded};
use super::record::Record;
use super::upgraded::Upgrade;
use super::upload::Upload;
use super::{After, Exchange};
use crate::proxy::http::header_case::HeaderCase;
use crate::proxy::http::session::{Gone, Piece, Response as _, ResponseHead, Session};
use crate::proxy::http::{framing, reply, websocket};
use crate::proxy::upstream::pool::Lease;
use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;
use waypoint_core::failure::{Failure, ResponseFlag};
use waypoint_core::grpc::web::Encoder;

enum Turn {
    Frame(Option<Result<Frame<Bytes>, hyper::Error>>),
    Piece(Result<Piece, Gone>),
    Gone(Gone),
    Timer(Expired),
}

/// How the body ended.
enum Ended {
    Complete,
    Broken(hyper::Error),
    Expired(Expired),
    Gone(Gone),
}

impl Exchange<'_> {
    pub(super) async fn relay<S: Session>(
        &mut self,
        session: &mut S,
        forwarding: &mut Forwarding,
        chosen: Chosen,
        (mut answer, lease): Answer,
    ) -> After {
        let upgrade = upgraded(answer.status(), lease.is_http2(), &forwarding.prepared);
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS && !upgrade {
            // Differs from Envoy, which passes an upgrade on that nobody asked for.
            return self.answer(
                session,
                &Failure::reset(waypoint_core::failure::ResetReason::ProtocolError, &Default::default()),
            );
        }
        let upstream = upgrade.then(|| hyper::upgrade::on(&mut answer));
        let (mut parts, mut body) = answer.into_parts();
        if let Some(protocol) = forwarding.prepared.upgrade.as_deref().filter(|_| upgrade && lease.is_http2())
        {
            parts.status = StatusCode::SWITCHING_PROTOCOLS;
            websocket::answered_by_http2(&mut parts.headers, forwarding.prepared.headers(), protocol);
        }
        self.record.upstream_responded(lease.local);
        let mut head = self.response_head(parts.status, parts.headers, forwarding, upgrade);
        head.case = parts.extensions.remove::<Arc<HeaderCase>>();
        let (request, response) = session.halves();
        if self.record.close_after || !forwarding.upload.ended() && body.is_end_stream() {
            response.close_after();
        }
        if let Some(upstream) = upstream {
            response.head(head, true);
            let record = std::mem::replace(&mut self.record, Record::new(&self.connection.tunnel));
            let (snapshot, chain) = (self.snapshot.clone(), self.chain.clone());
            let upgrade = Upgrade {
                upstream,
                record,
                snapshot,
                chain,
                operation: std::mem::take(&mut self.operation),
                _held: (lease, chosen),
            };
            return After::Upgrade(Box::new(upgrade));
        }
        let end = body.is_end_stream();
        response.head(head, end);
        forwarding.deadlines.responded(Instant::now());
        let ended = if end {
            Ended::Complete
        } else {
            let Forwarding { upload, deadlines, .. } = forwarding;
            self.pump((request, response), &mut body, (upload, deadlines)).await
        };
        self.record.uploaded(&forwarding.upload);
        self.ended(session, forwarding, ended, lease)
    }

    fn response_head(
        &mut self,
        status: StatusCode,
        mut headers: HeaderMap,
        forwarding: &Forwarding,
        upgrade: bool,
    ) -> ResponseHead {
        framing::strip_response(&mut headers, upgrade);
        if upgrade {
            framing::ask_upgrade(&mut headers);
        }
        // Envoy: counted from the end of the request, which one that asks for an upgrade does not have.
        let ended = forwarding.upload.ended() && forwarding.prepared.upgrade.is_none();
        if ended && !self.record.suppress_envoy {
            let taken = forwarding.deadlines.since_request(Instant::now()).as_millis();
            headers.insert(reply::SERVICE_TIME, HeaderValue::from(taken as u64));
        }
        self.record.status = Some(status.as_u16());
        self.change_response(&mut headers);
        if let Some(cookie) = &forwarding.plan.hash.set_cookie {
            headers.append(SET_COOKIE, cookie.clone());
        }
        self.record.details = "via_upstream".into();
        let mut head = ResponseHead { status, headers, case: None };
        self.finish_head(&mut head);
        head
    }

    /// Moves bodies both ways until the response ended.
    async fn pump<B, R>(
        &mut self,
        (request, response): (&mut B, &mut R),
        body: &mut Incoming,
        (upload, deadlines): (&mut Upload, &mut Deadlines),
    ) -> Ended
    where
        B: crate::proxy::http::session::RequestBody,
        R: crate::proxy::http::session::Response,
    {
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            if upload.ended() {
                deadlines.request_ended(Instant::now());
            }
            let next = deadlines.next();
            arm(timer.as_mut(), next);
            let turn = {
                let (ended, room) = (upload.ended(), &*upload);
                let mut downstream = pin!(async {
                    if ended {
                        return Turn::Gone(request.gone().await);
                    }
                    poll_fn(|cx| room.poll_room(cx)).await;
                    Turn::Piece(request.next().await)
                });
                poll_fn(|cx| {
                    match response.poll_drained(cx) {
                        Poll::Ready(Ok(())) => {
                            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                                return Poll::Ready(Turn::Frame(frame));
                            }
                        }
                        Poll::Ready(Err(gone)) => return Poll::Ready(Turn::Gone(gone)),
                        Poll::Pending => {}
                    }
                    if let Poll::Ready(turn) = downstream.as_mut().poll(cx) {
                        return Poll::Ready(turn);
                    }
                    if let Poll::Ready(gone) = response.poll_gone(cx) {
                        return Poll::Ready(Turn::Gone(gone));
                    }
                    expired(timer.as_mut(), next, cx).map(Turn::Timer)
                })
                .await
            };
            match turn {
                Turn::Frame(None) => {
                    let rest = self.encoder.as_mut().map(Encoder::end).unwrap_or_default();
                    self.record.bytes_sent += rest.len() as u64;
                    response.data(rest, true);
                    return Ended::Complete;
                }
                Turn::Frame(Some(Err(error))) => return Ended::Broken(error),
                Turn::Frame(Some(Ok(frame))) => {
                    deadlines.moved(true, Instant::now());
                    if self.deliver(frame, response, body.is_end_stream()) {
                        return Ended::Complete;
                    }
                }
                Turn::Piece(Ok(piece)) => {
                    deadlines.moved(false, Instant::now());
                    if let Err(gone) = take(upload, piece, request.is_done()) {
                        return Ended::Gone(gone);
                    }
                }
                Turn::Piece(Err(gone)) | Turn::Gone(gone) => return Ended::Gone(gone),
                Turn::Timer(expired) => return Ended::Expired(expired),
            }
        }
    }

    /// True when the frame was the last.
    fn deliver<R: crate::proxy::http::session::Response>(
        &mut self,
        frame: Frame<Bytes>,
        response: &mut R,
        end: bool,
    ) -> bool {
        match frame.into_data() {
            Ok(data) => {
                self.record.answered(&data);
                let data = match &mut self.encoder {
                    Some(encoder) if end => [encoder.encode(data), encoder.end()].concat().into(),
                    Some(encoder) => encoder.encode(data),
                    None => data,
                };
                self.record.bytes_sent += data.len() as u64;
                response.data(data, end);
                end
            }
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => {
                    self.record.trailers(&trailers);
                    if let Some(encoder) = &mut self.encoder {
                        let frame = encoder.trailers(&trailers);
                        self.record.bytes_sent += frame.len() as u64;
                        response.data(frame, true);
                    } else {
                        response.trailers(trailers);
                    }
                    true
                }
                Err(_) => false, // no other kinds exist today
            },
        }
    }

    fn ended<S: Session>(
        &mut self,
        session: &mut S,
        forwarding: &mut Forwarding,
        ended: Ended,
        lease: Lease,
    ) -> After {
        match ended {
            Ended::Complete => {
                if forwarding.upload.ended() {
                    lease.release();
                } else {
                    // An answer before the end of the request: neither side's connection can be used again.
                    forwarding.upload.fail();
                    session.halves().1.close_after();
                }
            }
            Ended::Broken(error) => {
                forwarding.upload.fail();
                tracing::debug!(%error, "response cut short");
                // Envoy: an HTTP/1 body that ends early is a protocol error, however the connection ended.
                let (flag, details) = if lease.is_http2() {
                    (ResponseFlag::UR, "upstream_reset_after_response_started{remote_reset}")
                } else {
                    (ResponseFlag::UPE, "upstream_reset_after_response_started{protocol_error}")
                };
                self.record.flag(flag);
                self.record.details = details.into();
                self.abort(session);
            }
            Ended::Expired(expired) => {
                forwarding.upload.fail();
                let failure = expired.failure(forwarding.upload.ended());
                self.record.failed(&failure);
                self.abort(session);
            }
            Ended::Gone(gone) => {
                forwarding.upload.fail();
                return self.gone(session, gone);
            }
        }
        After::Done
    }
}
