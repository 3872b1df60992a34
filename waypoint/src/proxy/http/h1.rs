//! An inner HTTP/1 session: Pingora reads and frames requests, we write responses.
//!
//! Pingora's writer would add its own `date` and `connection` and hold bodies with a length back; Envoy does neither.
//! The reader's judgement whether the connection may be used again is Pingora's, except that we also close after a
//! response that ended before its request.

mod writer;

pub use writer::Writer;

use super::head::{self, HeadRules, Http1Head};
use super::session::{Gone, Piece, RequestBody, RequestHead, Session};
use crate::limits;
use crate::proxy::stream::Shared;
use bytes::BytesMut;
use http::{Method, Version};
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::server::HttpSession;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use waypoint_core::failure::Failure;

/// One connection between two requests.
pub struct Http1Connection {
    stream: Shared,
    /// Bytes of the next request that came with the last one.
    pipelined: Option<BytesMut>,
    idle: Duration,
}

/// One request of such a connection.
pub struct Http1Session {
    reader: Reader,
    writer: Writer,
    stream: Shared,
    idle: Duration,
}

pub struct Reader {
    session: HttpSession,
    ended: bool,
}

impl Http1Connection {
    #[must_use]
    pub fn new(stream: Shared, idle: Duration) -> Self {
        Self { stream, pipelined: None, idle }
    }

    /// Waits for a request. `None`: the client closed, or sent nothing in time.
    pub async fn next(self) -> Option<(Http1Session, Result<(), Failure>)> {
        let mut session = HttpSession::new(Box::new(self.stream.clone()));
        session.set_server_keepalive(Some(self.idle.as_secs().max(1)));
        session.set_read_timeout(Some(limits::REQUEST_HEAD_TIMEOUT));
        // A client may half-close after its request and still wants the answer (RFC 9112 §9.6).
        session.set_abort_on_close(false);
        session.set_pipelining_enabled(true);
        if let Some(pipelined) = self.pipelined {
            session.set_pipelined_prefix(pipelined);
        }
        let read = session.read_request().await;
        let writer = Writer::new(self.stream.clone());
        let one = |session| Http1Session {
            reader: Reader { session, ended: false },
            writer,
            stream: self.stream.clone(),
            idle: self.idle,
        };
        match read {
            Ok(Some(_)) => {
                let mut session = one(session);
                session.reader.session.set_read_timeout(None);
                Some((session, Ok(())))
            }
            Ok(None) => None,
            Err(error) => {
                tracing::debug!(%error, "request head");
                let mut session = one(session);
                session.writer.close();
                Some((session, Err(Failure::codec_error())))
            }
        }
    }
}

impl Http1Session {
    /// The head after our own checks; framing of the body is settled before it leaves Pingora.
    ///
    /// # Errors
    /// When the head is refused; the connection is then closed after the answer.
    pub fn take_head(&mut self, rules: HeadRules) -> Result<RequestHead, Failure> {
        let session = &mut self.reader.session;
        self.reader.ended = session.is_body_empty();
        let raw = session.get_headers_raw_bytes();
        let parsed = session.req_header();
        let (method, version) = (parsed.method.clone(), parsed.version);
        let checked = head::http1(
            &Http1Head {
                raw: &raw,
                method: &method,
                target: parsed.raw_path(),
                version,
                headers: &parsed.headers,
            },
            rules,
        );
        self.writer.request(method == Method::HEAD, version == Version::HTTP_10);
        if checked.is_err() || !session.will_keepalive() {
            self.writer.close();
        }
        if checked.as_ref().is_ok_and(|head| head.upgrade.is_none()) {
            forget(session.req_header_mut(), method, version);
        }
        checked
    }

    #[must_use]
    pub fn has_body(&self) -> bool {
        !self.reader.ended
    }

    /// The connection for the next request, when there may be one.
    pub async fn finish(mut self) -> Option<Http1Connection> {
        if self.writer.flush().await.is_err() {
            return None;
        }
        if self.writer.closes() || !self.reader.ended || !self.writer.is_complete() {
            self.close().await;
            return None;
        }
        let (_, pipelined) = self.reader.session.reuse().await.ok()??.into_parts();
        Some(Http1Connection { stream: self.stream, pipelined, idle: self.idle })
    }

    /// A clean end only after a complete response; otherwise the client must notice.
    async fn close(mut self) {
        if self.writer.is_complete() {
            let _ = self.stream.shutdown().await; // a client that left first needs no goodbye
        } else {
            self.stream.reset();
        }
    }

    /// The raw connection after an answered upgrade, and what the client already sent on it.
    pub async fn into_raw(mut self) -> Option<(BytesMut, Shared)> {
        self.writer.flush().await.ok()?;
        let session = &mut self.reader.session;
        session.set_server_keepalive(Some(1));
        let stream = self.stream;
        let early = self.reader.session.reuse().await.ok()?.and_then(|reusable| reusable.into_parts().1);
        Some((early.unwrap_or_default(), stream))
    }
}

/// Saves a clone: what remains of the parsed head is what Pingora's later questions need.
fn forget(head: &mut RequestHeader, method: Method, version: Version) {
    let mut parts = http::Request::new(()).into_parts().0;
    parts.method = method;
    parts.version = version;
    *head = parts.into();
}

impl Session for Http1Session {
    type Body = Reader;
    type Response = Writer;

    fn halves(&mut self) -> (&mut Reader, &mut Writer) {
        (&mut self.reader, &mut self.writer)
    }
}

impl RequestBody for Reader {
    async fn next(&mut self) -> Result<Piece, Gone> {
        if self.ended {
            return Ok(Piece::End);
        }
        match self.session.read_body_or_idle(false).await {
            Ok(Some(data)) => Ok(Piece::Data(data)),
            Ok(None) => {
                self.ended = true;
                Ok(Piece::End)
            }
            Err(error) if is_framing(&error) => Err(Gone::Protocol),
            Err(_) => Err(Gone::Reset),
        }
    }

    fn is_done(&mut self) -> bool {
        self.ended |= self.session.is_body_done();
        self.ended
    }

    async fn gone(&mut self) -> Gone {
        loop {
            if self.session.read_body_or_idle(true).await.is_err() {
                return Gone::Reset;
            }
        }
    }
}

/// Malformed chunking, as opposed to a connection that broke.
fn is_framing(error: &pingora::Error) -> bool {
    use pingora::ErrorType;
    matches!(error.etype(), ErrorType::Custom(_) | ErrorType::CustomCode(..) | ErrorType::InvalidHTTPHeader)
}
