//! An inner HTTP/1 session: Pingora parses and frames requests, we judge their heads before and write responses.
//!
//! Pingora's writer would add its own `date` and `connection` and hold bodies with a length back; Envoy does neither.
//! The reader's judgement whether the connection may be used again is Pingora's, except that we also close after a
//! response that ended before its request.

mod intake;
mod writer;

pub use writer::Writer;

use self::intake::{Arrived, Intake};
use super::head::{self, HeadRules};
use super::session::{Gone, Piece, RequestBody, RequestHead, Session};
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
    /// Starts with the bytes of the next request that came with the last one.
    intake: Intake,
    idle: Duration,
}

/// One request of such a connection.
pub struct Http1Session {
    reader: Reader,
    writer: Writer,
    stream: Shared,
    idle: Duration,
    /// Head and what came behind it, until the head is taken.
    arrived: Result<(BytesMut, usize), Failure>,
}

pub struct Reader {
    session: HttpSession,
    ended: bool,
}

impl Http1Connection {
    #[must_use]
    pub fn new(stream: Shared, idle: Duration) -> Self {
        Self { stream, intake: Intake::default(), idle }
    }

    /// Waits for the bytes of a request head, at most `limit`. `None`: the client closed, or sent nothing in time.
    pub async fn next(mut self, limit: usize) -> Option<Http1Session> {
        let arrived = match self.intake.read(&mut self.stream, limit, self.idle).await {
            Arrived::Nothing => return None,
            Arrived::Refused(failure) => Err(failure),
            Arrived::Head(length) => Ok((self.intake.into_bytes(), length)),
        };
        let mut session = HttpSession::new(Box::new(self.stream.clone()));
        session.set_server_keepalive(Some(self.idle.as_secs().max(1)));
        // A client may half-close after its request and still wants the answer (RFC 9112 §9.6).
        session.set_abort_on_close(false);
        session.set_pipelining_enabled(true);
        Some(Http1Session {
            reader: Reader { session, ended: false },
            writer: Writer::new(self.stream.clone()),
            stream: self.stream,
            idle: self.idle,
            arrived,
        })
    }
}

impl Http1Session {
    /// The head after our own checks; framing of the body is settled before it leaves Pingora.
    ///
    /// # Errors
    /// When the head is refused; the connection is then closed after the answer.
    pub async fn take_head(&mut self, rules: HeadRules) -> Result<RequestHead, Failure> {
        let arrived = std::mem::replace(&mut self.arrived, Err(Failure::codec_error()));
        let taken = match arrived {
            Ok(head) => self.parse(head, rules).await,
            Err(failure) => Err(failure),
        };
        if taken.is_err() || !self.reader.session.will_keepalive() {
            self.writer.close();
        }
        taken
    }

    async fn parse(
        &mut self,
        (bytes, length): (BytesMut, usize),
        rules: HeadRules,
    ) -> Result<RequestHead, Failure> {
        let raw = bytes.get(..length).unwrap_or(&bytes);
        // Even a refused HEAD gets no body.
        self.writer.request(raw.trim_ascii_start().starts_with(b"HEAD "), false);
        let start = head::check(raw, rules)?;
        let session = &mut self.reader.session;
        session.set_pipelined_prefix(match &start.rewritten_line {
            Some(line) => with_line(line, bytes),
            None => bytes,
        });
        if let Err(error) = session.read_request().await {
            tracing::debug!(%error, "request head");
            return Err(Failure::codec_error());
        }
        self.reader.ended = session.is_body_empty();
        let parsed = session.req_header();
        let (method, version) = (parsed.method.clone(), parsed.version);
        self.writer.request(method == Method::HEAD, version == Version::HTTP_10);
        let head = head::http1(start, &method, version, &parsed.headers)?;
        if head.upgrade.is_none() {
            forget(session.req_header_mut(), method, version);
        }
        Ok(head)
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
        let intake = Intake::new(pipelined.unwrap_or_default());
        Some(Http1Connection { stream: self.stream, intake, idle: self.idle })
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

/// The head with another request line.
fn with_line(line: &str, bytes: BytesMut) -> BytesMut {
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(0);
    let end = bytes[start..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| start + at + 1);
    [line.as_bytes(), &bytes[end..]].concat().as_slice().into()
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
