//! The server's side of one HBONE connection.
//!
//! Invariants: only CONNECT gets further than a 404, Envoy's and ztunnel's answer; a peer that does not answer PINGs is dropped; after a drain began the
//! connection takes what the peer had already sent, refuses the rest with GOAWAY, and ends with its last stream.

use crate::hbone::deferred::{Deferred, DeferredFlush};
use crate::hbone::error::ServeError;
use crate::hbone::keepalive::{Keepalive, PingTimes};
use crate::hbone::stream::TunnelStream;
use crate::identity::SpiffeId;
use crate::lifecycle::DrainWatch;
use crate::limits;
use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, SendResponse};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Address the connection came from.
    pub remote: SocketAddr,
    /// Address it was accepted on.
    pub local: SocketAddr,
    /// From the peer's certificate; never from a header.
    pub identity: Option<SpiffeId>,
}

/// HTTP/2 settings of a server connection; the defaults and their reasons are in `limits`.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Window of a stream.
    pub stream_window: u32,
    /// Window of the connection.
    pub connection_window: u32,
    /// Largest frame we take.
    pub max_frame: u32,
    /// Streams the peer may have open.
    pub max_streams: u32,
    /// Largest header list we take.
    pub header_list: u32,
    /// Bytes a stream may queue in h2.
    pub send_buffer: usize,
    /// PINGs.
    pub pings: PingTimes,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            stream_window: limits::HBONE_STREAM_WINDOW,
            connection_window: limits::HBONE_CONNECTION_WINDOW,
            max_frame: limits::HBONE_MAX_FRAME,
            max_streams: limits::HBONE_SERVER_STREAMS,
            header_list: limits::HBONE_SERVER_HEADER_LIST,
            send_buffer: limits::HBONE_SEND_BUFFER,
            pings: PingTimes::default(),
        }
    }
}

/// A CONNECT that waits for its answer. Dropped unanswered, the stream is reset.
#[derive(Debug)]
pub struct ConnectStream {
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    peer: Arc<Peer>,
}

impl ConnectStream {
    /// `:authority`, as sent.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.request.uri().authority().map_or("", |authority| authority.as_str())
    }

    /// The other headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The connection's peer.
    #[must_use]
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// Answers 200 with `headers`; the bytes begin.
    pub fn accept(mut self, headers: HeaderMap) -> Result<TunnelStream, h2::Error> {
        let send = self.respond.send_response(answer(StatusCode::OK, headers), false)?;
        Ok(TunnelStream::new(self.request.into_body(), send, None))
    }

    /// Answers `status` and ends the stream.
    pub fn refuse(mut self, status: StatusCode, headers: HeaderMap) {
        // Fails only when the peer has given the stream up already.
        let _ = self.respond.send_response(answer(status, headers), true);
    }
}

/// Serves one connection until its last stream ended. `on_connect` must not block: it starts a task per stream, or refuses.
pub async fn serve<I, F>(
    io: I,
    peer: Peer,
    options: &ServerOptions,
    drain: DrainWatch,
    on_connect: F,
) -> Result<(), ServeError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: FnMut(ConnectStream),
{
    let (io, flush) = Deferred::new(io);
    let mut handshake = pin!(builder(options).handshake(io));
    let handshake = poll_fn(|cx| flushed(handshake.as_mut().poll(cx), &flush, cx));
    let connection =
        timeout(limits::HANDSHAKE_TIMEOUT, handshake).await.map_err(|_| ServeError::HandshakeTimeout)??;
    Driver::new(connection, flush, on_connect, Arc::new(peer)).run(options.pings, &drain).await
}

fn builder(options: &ServerOptions) -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .max_frame_size(options.max_frame)
        .max_concurrent_streams(options.max_streams)
        .max_header_list_size(options.header_list)
        .max_send_buffer_size(options.send_buffer)
        .max_pending_accept_reset_streams(limits::HBONE_PENDING_RESET_STREAMS);
    builder
}

fn answer(status: StatusCode, headers: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Writes out what a poll of the connection produced. A transport that cannot be written to is h2's to report, on its next read.
fn flushed<T, I: AsyncWrite + Unpin>(
    polled: Poll<T>,
    flush: &DeferredFlush<I>,
    cx: &mut Context<'_>,
) -> Poll<T> {
    let _ = flush.poll_flush(cx);
    polled
}

/// A connection with what is polled beside it.
struct Driver<I, F> {
    connection: server::Connection<Deferred<I>, Bytes>,
    flush: DeferredFlush<I>,
    on_connect: F,
    peer: Arc<Peer>,
    draining: bool,
}

impl<I, F> Driver<I, F>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: FnMut(ConnectStream),
{
    fn new(
        connection: server::Connection<Deferred<I>, Bytes>,
        flush: DeferredFlush<I>,
        on_connect: F,
        peer: Arc<Peer>,
    ) -> Self {
        Self { connection, flush, on_connect, peer, draining: false }
    }

    async fn run(mut self, pings: PingTimes, drain: &DrainWatch) -> Result<(), ServeError> {
        let mut keepalive = self.connection.ping_pong().map(|handle| Keepalive::new(handle, pings));
        let mut drain = pin!(drain.started());
        poll_fn(|cx| {
            self.poll_drain(drain.as_mut(), cx);
            if keepalive.as_mut().is_some_and(|keepalive| keepalive.poll_dead(cx).is_ready()) {
                return Poll::Ready(Err(ServeError::KeepaliveTimeout));
            }
            let polled = self.poll_streams(cx);
            flushed(polled, &self.flush, cx)
        })
        .await
    }

    fn poll_drain(&mut self, drain: Pin<&mut impl Future<Output = ()>>, cx: &mut Context<'_>) {
        if !self.draining && drain.poll(cx).is_ready() {
            self.draining = true;
            self.connection.graceful_shutdown();
        }
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ServeError>> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(ended(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn begin(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        if request.method() == Method::CONNECT && request.uri().authority().is_some() {
            (self.on_connect)(ConnectStream { request, respond, peer: Arc::clone(&self.peer) });
        } else {
            let _ = respond.send_response(answer(StatusCode::NOT_FOUND, HeaderMap::new()), true);
        }
    }
}

/// A peer that says GOAWAY(NO_ERROR), or hangs up, has simply left; its open streams have heard of it by themselves.
fn ended(error: h2::Error) -> Result<(), ServeError> {
    let left = error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR);
    if left { Ok(()) } else { Err(error.into()) }
}
