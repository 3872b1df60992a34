//! hyper's client over one upstream connection: handshakes, requests, and what its errors mean.

use super::error::UpstreamError;
use super::recased::{CaseTap, Recased};
use super::stream::UpstreamStream;
use crate::limits;
use crate::proxy::http::body::UpstreamBody;
use ::http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::error::Error as _;
use waypoint_core::failure::ResetReason;
use waypoint_core::model::cluster::Http2Settings;

/// The sending side of a connection.
pub enum Sender {
    Http1(http1::SendRequest<UpstreamBody>, CaseTap),
    Http2(http2::SendRequest<UpstreamBody>),
}

/// A request that got no answer.
pub struct SendFailure {
    pub error: UpstreamError,
    /// The request itself, when hyper never touched it: it can go elsewhere at no cost.
    pub request: Option<Request<UpstreamBody>>,
}

impl Sender {
    /// Speaks HTTP/1 on a fresh connection. `held` lives as long as the connection does.
    ///
    /// # Errors
    /// When the connection broke at once.
    pub async fn http1<H: Send + 'static>(stream: UpstreamStream, held: H) -> Result<Self, UpstreamError> {
        let mut builder = http1::Builder::new();
        builder.max_headers(limits::RESPONSE_HEAD_FIELDS).max_header_size(limits::RESPONSE_HEAD_BYTES);
        let tap = CaseTap::default();
        let stream = Recased::new(stream, tap.clone());
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(|error| meaning(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "upstream HTTP/1 connection");
            }
            drop(held);
        });
        Ok(Self::Http1(sender, tap))
    }

    /// Speaks HTTP/2 on a fresh connection.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn http2<H: Send + 'static>(
        stream: UpstreamStream,
        settings: Http2Settings,
        held: H,
    ) -> Result<Self, UpstreamError> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(limits::INNER_STREAM_WINDOW)
            .initial_connection_window_size(limits::INNER_CONNECTION_WINDOW)
            .max_header_list_size(limits::RESPONSE_LIST_BYTES);
        if let Some(keepalive) = settings.keepalive {
            builder.keep_alive_interval(keepalive.interval).keep_alive_timeout(keepalive.timeout);
        }
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(|error| meaning(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream HTTP/2 connection");
            }
            drop(held);
        });
        Ok(Self::Http2(sender))
    }

    #[must_use]
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender, _) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Waits until a request can be given to the connection. False: it closed meanwhile.
    pub async fn is_usable(&mut self) -> bool {
        match self {
            Self::Http1(sender, _) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    /// # Errors
    /// See [`SendFailure`].
    pub async fn send(&mut self, request: Request<UpstreamBody>) -> Result<Response<Incoming>, SendFailure> {
        let sent = match self {
            Self::Http1(sender, tap) => {
                tap.begin(request.extensions().get().cloned());
                let sent = sender.try_send_request(request).await;
                sent.map(|mut response| {
                    if let Some(case) = tap.response() {
                        response.extensions_mut().insert(case);
                    }
                    response
                })
            }
            Self::Http2(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut failed| {
            let request = failed.take_message();
            SendFailure { error: meaning(&failed.into_error()), request }
        })
    }
}

/// hyper's error in our words.
#[must_use]
pub fn meaning(error: &hyper::Error) -> UpstreamError {
    UpstreamError::reset(reason(error))
}

fn reason(error: &hyper::Error) -> ResetReason {
    if error.is_parse() || error.is_parse_too_large() {
        return ResetReason::ProtocolError;
    }
    let Some(error) = error.source().and_then(|source| source.downcast_ref::<h2::Error>()) else {
        return ResetReason::ConnectionTermination;
    };
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => ResetReason::RemoteRefusedStream,
        Some(h2::Reason::PROTOCOL_ERROR) if !error.is_remote() => ResetReason::ProtocolError,
        _ if error.is_io() || error.is_go_away() => ResetReason::ConnectionTermination,
        _ => ResetReason::RemoteReset,
    }
}

#[cfg(test)]
mod tests;
