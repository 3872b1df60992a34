//! What the exchange needs of a downstream HTTP session, whatever the protocol: a head, a body to read, a response to write.
//!
//! Narrow on purpose, so that the engine below can be replaced and measured. Reading and writing are separate halves,
//! because a proxy must do both at once or a client that does the same stalls.

use super::header_case::HeaderCase;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, Version};
use std::sync::Arc;
use std::task::{Context, Poll};

/// A request head after framing and syntax checks; nothing in it was interpreted yet.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub method: Method,
    /// Origin form with query, as sent: `/a/../b?x`.
    pub target: Box<str>,
    pub authority: Box<str>,
    pub version: Version,
    /// As the client says it: `:scheme`, or that of a target in absolute form.
    pub scheme: Option<&'static str>,
    /// Without `host`.
    pub headers: HeaderMap,
    /// `:protocol` or `upgrade:` of a request that wants to change protocols.
    pub upgrade: Option<Box<str>>,
    /// How the names were spelt, where the chain keeps that.
    pub case: Option<Arc<HeaderCase>>,
}

/// One piece of a request body.
#[derive(Debug)]
pub enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

/// The client is no longer there, or broke the protocol in the middle of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Reset or closed. Flag DC.
    Reset,
    /// Malformed body framing. Flag DPE, 400 while a response is still possible.
    Protocol,
}

pub trait RequestBody {
    /// The next piece; `End` exactly once. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Result<Piece, Gone>> + Send;
    /// Whether everything was read: known at once where the framing says so, before `next` could say `End`.
    fn is_done(&mut self) -> bool;
    /// Resolves when the client gives up after its request ended. Cancel safe.
    fn gone(&mut self) -> impl Future<Output = Gone> + Send;
}

#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// How the endpoint spelt the names, where the chain keeps that.
    pub case: Option<Arc<HeaderCase>>,
}

impl ResponseHead {
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::with_capacity(8), case: None }
    }

    pub fn set(&mut self, name: HeaderName, value: http::HeaderValue) {
        self.headers.insert(name, value);
    }
}

pub trait Response {
    /// An interim response (1xx).
    fn informational(&mut self, head: &ResponseHead);
    /// `end`: there is no body.
    fn head(&mut self, head: ResponseHead, end: bool);
    fn data(&mut self, data: Bytes, end: bool);
    /// The end of a response with trailers; where the client's protocol cannot carry them, just the end.
    fn trailers(&mut self, trailers: HeaderMap);
    /// Ready when everything given so far went to the transport: the back-pressure of the response.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;
    /// Ready when the client reset the stream, where that shows on the writing side.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone>;
    /// Ends a response that cannot be completed, so that the client cannot take it for complete.
    fn abort(&mut self);
    /// The connection will not take another request.
    fn close_after(&mut self);
}

/// The two halves together.
pub trait Session: Send {
    type Body: RequestBody + Send;
    type Response: Response + Send;
    fn halves(&mut self) -> (&mut Self::Body, &mut Self::Response);
}
