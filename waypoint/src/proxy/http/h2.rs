//! Inner HTTP/2: `h2` driven directly, because Pingora's session has no request trailers.
//!
//! One connection task accepts streams; each request is a task of its own on the same worker.
//! Invariant: request bytes are acknowledged to the client only when the exchange took them.

use super::session::{Gone, Piece, RequestBody, Response, ResponseHead, Session};
use crate::limits;
use bytes::{Buf as _, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, StatusCode, Version};
use mesh::hbone::TunnelStream;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

pub struct Http2Session {
    body: Http2Body,
    response: Http2Response,
}

pub struct Http2Body {
    stream: RecvStream,
    ended: bool,
    trailers_read: bool,
}

pub struct Http2Response {
    state: Sending,
    pending: Bytes,
    end: bool,
    trailers: Option<HeaderMap>,
}

enum Sending {
    Head(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
    /// Everything was handed to h2. What is kept tells of a reset.
    Done,
    Failed,
}

/// The settings of an inner HTTP/2 server connection.
#[must_use]
pub fn builder(header_bytes: u32, allow_connect: bool) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(limits::DOWNSTREAM_STREAMS)
        .initial_window_size(limits::INNER_STREAM_WINDOW)
        .initial_connection_window_size(limits::INNER_CONNECTION_WINDOW)
        // Room to answer 431 ourselves instead of resetting the connection.
        .max_header_list_size(header_bytes.saturating_mul(2))
        .max_send_buffer_size(limits::DOWNSTREAM_SEND_BUFFER);
    if allow_connect {
        builder.enable_connect_protocol();
    }
    builder
}

impl Http2Session {
    #[must_use]
    pub fn new(stream: RecvStream, respond: SendResponse<Bytes>) -> Self {
        let ended = stream.is_end_stream();
        Self {
            body: Http2Body { stream, ended, trailers_read: false },
            response: Http2Response {
                state: Sending::Head(respond),
                pending: Bytes::new(),
                end: false,
                trailers: None,
            },
        }
    }

    #[must_use]
    pub fn has_body(&self) -> bool {
        !self.body.ended
    }

    /// The raw stream after an answered upgrade.
    #[must_use]
    pub fn into_raw(self) -> Option<TunnelStream> {
        match self.response.state {
            Sending::Body(send) => Some(TunnelStream::over(self.body.stream, send)),
            Sending::Head(_) | Sending::Done | Sending::Failed => None,
        }
    }

    /// Hands the rest of the response to `h2`, and ends a request nobody will read any more.
    pub async fn finish(mut self) {
        let drained = poll_fn(|cx| self.response.poll_drained(cx)).await;
        if drained.is_err() || !matches!(self.response.state, Sending::Done) {
            self.response.abort();
        }
    }
}

impl Session for Http2Session {
    type Body = Http2Body;
    type Response = Http2Response;

    fn halves(&mut self) -> (&mut Http2Body, &mut Http2Response) {
        (&mut self.body, &mut self.response)
    }
}

impl Http2Body {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Gone>> {
        while !self.trailers_read {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // The window opens as the exchange takes pieces; it takes the next one only when this one is sent.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    if !data.is_empty() {
                        return Poll::Ready(Ok(Piece::Data(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(gone(&error))),
                None => self.trailers_read = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(|error| gone(&error))?;
        self.ended = true;
        Poll::Ready(Ok(trailers.map_or(Piece::End, Piece::Trailers)))
    }
}

fn gone(error: &h2::Error) -> Gone {
    let broken = error.reason() == Some(Reason::PROTOCOL_ERROR) && !error.is_remote();
    if broken { Gone::Protocol } else { Gone::Reset }
}

impl RequestBody for Http2Body {
    async fn next(&mut self) -> Result<Piece, Gone> {
        if self.ended { Ok(Piece::End) } else { poll_fn(|cx| self.poll_piece(cx)).await }
    }

    fn is_done(&mut self) -> bool {
        self.ended |= self.stream.is_end_stream();
        self.ended
    }

    async fn gone(&mut self) -> Gone {
        std::future::pending().await // the writing half sees it
    }
}

impl Http2Response {
    fn push(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let Sending::Body(stream) = &mut self.state else { return Poll::Ready(Ok(())) };
        while !self.pending.is_empty() {
            stream.reserve_capacity(self.pending.len());
            let mut room = stream.capacity();
            if room == 0 {
                match ready!(stream.poll_capacity(cx)) {
                    Some(capacity) => room = capacity?,
                    None => return Poll::Ready(Err(Reason::CANCEL.into())),
                }
                if room == 0 {
                    continue;
                }
            }
            let part = self.pending.split_to(room.min(self.pending.remaining()));
            let last = self.pending.is_empty() && self.end && self.trailers.is_none();
            stream.send_data(part, last)?;
            if last {
                self.state = Sending::Done;
                return Poll::Ready(Ok(()));
            }
        }
        if self.end {
            match self.trailers.take() {
                Some(trailers) => stream.send_trailers(trailers)?,
                None => stream.send_data(Bytes::new(), true)?,
            }
            self.state = Sending::Done;
        }
        Poll::Ready(Ok(()))
    }
}

impl Response for Http2Response {
    fn informational(&mut self, head: &ResponseHead) {
        if let Sending::Head(respond) = &mut self.state {
            let mut response = http::Response::new(());
            *response.status_mut() = head.status;
            *response.headers_mut() = head.headers.clone();
            let _ = respond.send_informational(response); // a stream that is gone shows at the next write
        }
    }

    fn head(&mut self, head: ResponseHead, end: bool) {
        let Sending::Head(respond) = &mut self.state else { return };
        let upgraded = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let mut response = http::Response::new(());
        // RFC 8441 §5: an extended CONNECT is answered by 200, and the stream itself is what was asked for.
        *response.status_mut() = if upgraded { StatusCode::OK } else { head.status };
        *response.version_mut() = Version::HTTP_2;
        *response.headers_mut() = head.headers;
        if upgraded {
            response.headers_mut().remove(CONNECTION);
            response.headers_mut().remove(UPGRADE);
        }
        let end = end && !upgraded;
        self.state = match respond.send_response(response, end) {
            Ok(_) if end => Sending::Done,
            Ok(stream) => Sending::Body(stream),
            Err(_) => Sending::Failed,
        };
    }

    fn data(&mut self, data: Bytes, end: bool) {
        self.pending = data;
        self.end = end;
    }

    fn trailers(&mut self, trailers: HeaderMap) {
        self.trailers = Some(trailers);
        self.end = true;
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let pushed = ready!(self.push(cx));
        if pushed.is_err() || matches!(self.state, Sending::Failed) {
            return Poll::Ready(Err(Gone::Reset));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        let reset = match &mut self.state {
            Sending::Head(respond) => respond.poll_reset(cx),
            Sending::Body(stream) => stream.poll_reset(cx),
            Sending::Done | Sending::Failed => return Poll::Pending,
        };
        // h2 resets a stream whose message is malformed (a length that lies, say) and tells by this reason only.
        reset.map(|reason| match reason {
            Ok(Reason::PROTOCOL_ERROR) => Gone::Protocol,
            _ => Gone::Reset,
        })
    }

    fn abort(&mut self) {
        match &mut self.state {
            Sending::Head(respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            Sending::Body(stream) => stream.send_reset(Reason::INTERNAL_ERROR),
            Sending::Done | Sending::Failed => {}
        }
        self.pending.clear();
        self.state = Sending::Failed;
    }

    fn close_after(&mut self) {} // GOAWAY is the connection's business
}
