//! The client's side of one HBONE connection.

use crate::hbone::deferred::Deferred;
use crate::hbone::error::ConnectError;
use crate::hbone::keepalive::{Keepalive, PingTimes};
use crate::hbone::lease::Lease;
use crate::hbone::stream::TunnelStream;
use crate::limits;
use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// HTTP/2 settings of a client connection; the defaults and their reasons are in `limits`.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Window of a stream.
    pub stream_window: u32,
    /// Window of the connection.
    pub connection_window: u32,
    /// Largest frame we take.
    pub max_frame: u32,
    /// Largest header list we take.
    pub header_list: u32,
    /// Bytes a stream may queue in h2.
    pub send_buffer: usize,
    /// Wait for the answer to a CONNECT.
    pub answer_timeout: Duration,
    /// PINGs.
    pub pings: PingTimes,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            stream_window: limits::HBONE_STREAM_WINDOW,
            connection_window: limits::HBONE_CONNECTION_WINDOW,
            max_frame: limits::HBONE_MAX_FRAME,
            header_list: limits::HBONE_CLIENT_HEADER_LIST,
            send_buffer: limits::HBONE_SEND_BUFFER,
            answer_timeout: limits::CONNECT_ANSWER_TIMEOUT,
            pings: PingTimes::default(),
        }
    }
}

/// One connection on which CONNECT streams can be opened. Cheap to clone; the connection ends when every clone and every
/// stream is gone.
#[derive(Debug, Clone)]
pub struct Connection {
    requests: SendRequest<Bytes>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// The peer has answered something: it accepted our certificate.
    answered: AtomicBool,
    /// The driver is gone.
    closed: AtomicBool,
    answer_timeout: Duration,
}

/// The task that moves a connection's bytes; to be spawned.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Connection {
    /// Speaks HTTP/2 on `io`, which has finished its TLS handshake, and drives it from a task of its own.
    pub async fn open<I>(io: I, options: &ClientOptions) -> Result<Self, ConnectError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (connection, driver) = Self::handshake(io, options).await?;
        tokio::spawn(driver);
        Ok(connection)
    }

    pub(super) async fn handshake<I>(io: I, options: &ClientOptions) -> Result<(Self, Driver), ConnectError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (io, flush) = Deferred::new(io);
        // The preface stays in the gather buffer until the driver's first poll; nothing here waits for the peer.
        let (requests, mut connection) =
            builder(options).handshake(io).await.map_err(|error| ConnectError::Handshake(Arc::new(error)))?;
        let state = Arc::new(State {
            answered: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            answer_timeout: options.answer_timeout,
        });
        let mut keepalive = connection.ping_pong().map(|handle| Keepalive::new(handle, options.pings));
        let driven = Arc::clone(&state);
        let driver = Box::pin(async move {
            let mut connection = pin!(connection);
            poll_fn(|cx| {
                if keepalive.as_mut().is_some_and(|keepalive| keepalive.poll_dead(cx).is_ready()) {
                    return Poll::Ready(());
                }
                // How it ended is what each stream hears; an error has no other reader.
                let polled = connection.as_mut().poll(cx).map(|_| ());
                let _ = flush.poll_flush(cx);
                polled
            })
            .await;
            driven.closed.store(true, Ordering::Release);
        });
        Ok((Self { requests, state }, driver))
    }

    /// False once no further stream can be opened for sure. True is no promise.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.state.closed.load(Ordering::Acquire)
    }

    /// Opens a stream and waits for its 200.
    pub async fn connect(
        &self,
        authority: &str,
        headers: HeaderMap,
    ) -> Result<(TunnelStream, HeaderMap), ConnectError> {
        self.connect_leased(authority, headers, None).await
    }

    pub(super) async fn connect_leased(
        &self,
        authority: &str,
        headers: HeaderMap,
        lease: Option<Lease>,
    ) -> Result<(TunnelStream, HeaderMap), ConnectError> {
        let request = connect_request(authority, headers)?;
        let exchange = async {
            let mut requests = self.requests.clone().ready().await?;
            let (response, send) = requests.send_request(request, false)?;
            Ok::<_, h2::Error>((response.await?, send))
        };
        let (response, send) = timeout(self.state.answer_timeout, exchange)
            .await
            .map_err(|_| ConnectError::AnswerTimeout)?
            .map_err(|error| self.no_answer(error))?;
        self.state.answered.store(true, Ordering::Release);
        let (head, recv) = response.into_parts();
        // Any other status, 2xx included, ends here; dropping both halves resets the stream.
        if head.status != StatusCode::OK {
            return Err(ConnectError::Refused(head.status));
        }
        Ok((TunnelStream::new(recv, send, lease), head.headers))
    }

    fn no_answer(&self, error: h2::Error) -> ConnectError {
        if error.is_io() && !self.state.answered.load(Ordering::Acquire) {
            let error = error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into());
            return ConnectError::Tls(Arc::new(error));
        }
        ConnectError::Reset(Arc::new(error))
    }
}

fn builder(options: &ClientOptions) -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .initial_window_size(options.stream_window)
        .initial_connection_window_size(options.connection_window)
        .max_frame_size(options.max_frame)
        .max_header_list_size(options.header_list)
        .max_send_buffer_size(options.send_buffer)
        .initial_max_send_streams(limits::HBONE_CLIENT_STREAMS)
        .enable_push(false);
    builder
}

fn connect_request(authority: &str, headers: HeaderMap) -> Result<Request<()>, ConnectError> {
    let invalid = || ConnectError::Authority(authority.to_owned());
    let parsed = Authority::try_from(authority).map_err(|_| invalid())?;
    let uri = Uri::builder().authority(parsed).build().map_err(|_| invalid())?;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}
