//! One attempt at one endpoint: a connection, the request, the response head; the client watched all the while.

use super::deadlines::{Deadlines, Expired};
use super::interim::{self, Interims};
use super::upload::Upload;
use crate::proxy::http::body::UpstreamBody;
use crate::proxy::http::framing;
use crate::proxy::http::session::{Gone, Piece, RequestBody as _, Response, ResponseHead, Session};
use crate::proxy::upstream::cluster::Choice;
use crate::proxy::upstream::error::UpstreamError;
use crate::proxy::upstream::pool::Lease;
use crate::proxy::worker::Worker;
use http::Request;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::body::Incoming;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use waypoint_core::failure::ResetReason;
use waypoint_core::store::ClusterEntry;

pub type Answer = (http::Response<Incoming>, Lease);

/// How an attempt ended.
pub enum Ended {
    Answer(Box<Answer>),
    Failed(UpstreamError),
    Expired(Expired),
    Gone(Gone),
}

enum Turn {
    Upstream(Result<Box<Answer>, UpstreamError>),
    Piece(Result<Piece, Gone>),
    Gone(Gone),
    Interim(ResponseHead),
    Timer(Expired),
}

/// What an attempt is made with.
pub struct Attempt<'a> {
    pub worker: &'a Arc<Worker>,
    pub entry: &'a Arc<ClusterEntry>,
    pub choice: Choice,
    pub http2: bool,
    pub request: Request<UpstreamBody>,
}

/// Runs one attempt to its response head.
pub async fn run<S: Session>(
    attempt: Attempt<'_>,
    session: &mut S,
    upload: &mut Upload,
    deadlines: &mut Deadlines,
) -> Ended {
    let (heard, mut interims) = Interims::new();
    let mut upstream = pin!(send(attempt, heard));
    let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
    let (body, response) = session.halves();
    deadlines.next_try();
    loop {
        if upload.ended() {
            deadlines.request_ended(Instant::now());
        }
        let next = deadlines.next();
        arm(timer.as_mut(), next);
        let turn = {
            let ended = upload.ended();
            let room = &*upload;
            let mut downstream = pin!(async {
                if ended {
                    return Turn::Gone(body.gone().await);
                }
                poll_fn(|cx| room.poll_room(cx)).await;
                Turn::Piece(body.next().await)
            });
            poll_fn(|cx| {
                if let Poll::Ready(result) = upstream.as_mut().poll(cx) {
                    return Poll::Ready(Turn::Upstream(result));
                }
                // One at a time, and not before the client took the last; one that is gone shows elsewhere.
                if let Poll::Ready(Ok(())) = response.poll_drained(cx)
                    && let Poll::Ready(head) = interims.poll_next(cx)
                {
                    return Poll::Ready(Turn::Interim(head));
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
            Turn::Upstream(result) => {
                // They came before it, even where all was read at once.
                interims.drain().for_each(|head| pass_on(&head, response, upload));
                return result.map_or_else(Ended::Failed, Ended::Answer);
            }
            Turn::Piece(Ok(piece)) => {
                deadlines.moved(false, Instant::now());
                if let Err(gone) = take(upload, piece, body.is_done()) {
                    return Ended::Gone(gone);
                }
            }
            Turn::Piece(Err(gone)) | Turn::Gone(gone) => return Ended::Gone(gone),
            Turn::Interim(head) => pass_on(&head, response, upload),
            Turn::Timer(expired) => return Ended::Expired(expired),
        }
    }
}

/// Envoy: whoever has heard of one endpoint is not answered by another; the second's interim answers would be odd.
fn pass_on<R: Response>(head: &ResponseHead, response: &mut R, upload: &mut Upload) {
    response.informational(head);
    upload.answered();
}

/// Takes a piece, and the end with it where that is known already.
pub fn take(upload: &mut Upload, piece: Piece, done: bool) -> Result<(), Gone> {
    upload.accept(piece)?;
    if done && !upload.ended() { upload.accept(Piece::End) } else { Ok(()) }
}

/// Sets the timer to the next deadline.
pub fn arm(timer: Pin<&mut Sleep>, next: Option<(Instant, Expired)>) {
    if let Some((at, _)) = next
        && timer.deadline() != at
    {
        timer.reset(at);
    }
}

/// Ready with what ran out, where anything can.
pub fn expired(
    timer: Pin<&mut Sleep>,
    next: Option<(Instant, Expired)>,
    cx: &mut Context<'_>,
) -> Poll<Expired> {
    match next {
        Some((_, what)) => timer.poll(cx).map(|()| what),
        None => Poll::Pending,
    }
}

async fn send(attempt: Attempt<'_>, heard: interim::Heard) -> Result<Box<Answer>, UpstreamError> {
    let Attempt { worker, entry, choice, http2, mut request } = attempt;
    if !http2 {
        heard.listen(&mut request);
    }
    loop {
        let mut lease = connect(worker, entry, &choice, http2).await?;
        match lease.sender.send(request).await {
            Ok(response) if is_ambiguous(&response) || !framing::is_plain(response.headers()) => {
                return Err(UpstreamError::reset(ResetReason::ProtocolError));
            }
            Ok(response) => return Ok(Box::new((response, lease))),
            // The endpoint closed an idle connection at the same moment: nothing was sent, so nothing is retried.
            Err(failure) => match failure.request {
                Some(unsent) if lease.reused => request = unsent,
                Some(_) => return Err(UpstreamError { unsent: true, ..failure.error }),
                None => return Err(failure.error),
            },
        }
    }
}

/// A length beside a transfer coding: two readers could disagree where the response ends.
fn is_ambiguous(response: &http::Response<Incoming>) -> bool {
    let headers = response.headers();
    headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING)
}

/// An idle connection, or a new one as far as the circuit breaker allows; else one that another request gives back.
pub async fn connect(
    worker: &Worker,
    entry: &ClusterEntry,
    choice: &Choice,
    http2: bool,
) -> Result<Lease, UpstreamError> {
    /// A connection given back by another worker is only seen by looking again.
    const LOOK_AGAIN: Duration = Duration::from_millis(5);
    let mut waiting = None;
    loop {
        if let Some(lease) = worker.pool.idle(&choice.destination, &entry.cluster, http2).await {
            return Ok(lease);
        }
        if let Some(permit) = entry.breakers.connection() {
            let cluster = (&*entry.cluster, http2);
            return worker.pool.open(&worker.transport, &choice.destination, cluster, permit).await;
        }
        if waiting.is_none() {
            waiting = Some(entry.breakers.pending().ok_or_else(UpstreamError::overflow)?);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
