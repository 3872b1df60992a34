//! Writing an HTTP/1 response: head, framing, body. The connection's headers are decided here and nowhere else.
//!
//! Invariant: a response is framed by exactly one of content-length, chunked, "no body" or the end of the connection,
//! and bytes beyond a declared length are never sent. Spec: RFC 9112 §6.3, §7.

use crate::proxy::http::framing::content_length;
use crate::proxy::http::session::{Gone, Response, ResponseHead};
use crate::proxy::stream::Shared;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// The head is not written yet.
    Unset,
    NoBody,
    Length(u64),
    Chunked,
    UntilClose,
    /// Everything was given.
    Complete,
    /// It never will be.
    Aborted,
}

pub struct Writer {
    stream: Shared,
    queue: VecDeque<Bytes>,
    framing: Framing,
    head_request: bool,
    http_10: bool,
    close: bool,
}

impl Writer {
    #[must_use]
    pub fn new(stream: Shared) -> Self {
        let framing = Framing::Unset;
        Self { stream, queue: VecDeque::new(), framing, head_request: false, http_10: false, close: false }
    }

    /// What of the request matters for the response.
    pub fn request(&mut self, head: bool, http_10: bool) {
        self.head_request = head;
        self.http_10 = http_10;
    }

    pub fn close(&mut self) {
        self.close = true;
    }

    #[must_use]
    pub fn closes(&self) -> bool {
        self.close
    }

    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.framing == Framing::Complete
    }

    /// # Errors
    /// When the client is gone.
    pub async fn flush(&mut self) -> Result<(), Gone> {
        poll_fn(|cx| self.poll_drained(cx)).await?;
        poll_fn(|cx| Pin::new(&mut self.stream).poll_flush(cx)).await.map_err(|_| Gone::Reset)
    }

    fn frame(&mut self, status: StatusCode, headers: &HeaderMap, end: bool) -> Framing {
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match content_length(headers) {
            _ if self.head_request || bodiless => Framing::NoBody,
            Some(length) => Framing::Length(length),
            None if end => Framing::Length(0),
            None if self.http_10 => Framing::UntilClose,
            None => Framing::Chunked,
        }
    }

    fn write_head(&mut self, head: &ResponseHead) {
        let mut out = BytesMut::with_capacity(512);
        let reason = head.status.canonical_reason().unwrap_or("Unknown");
        // Envoy: an HTTP/1.0 client is answered in its own version.
        out.put_slice(if self.http_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
        out.put_slice(head.status.as_str().as_bytes());
        out.put_u8(b' ');
        out.put_slice(reason.as_bytes());
        out.put_slice(b"\r\n");
        for (name, value) in &head.headers {
            let name = head.case.as_ref().map_or(name.as_str(), |case| case.spell(name.as_str()));
            out.put_slice(name.as_bytes());
            out.put_slice(b": ");
            out.put_slice(value.as_bytes());
            out.put_slice(b"\r\n");
        }
        out.put_slice(b"\r\n");
        self.queue.push_back(out.freeze());
    }

    fn complete(&mut self) {
        if self.framing == Framing::Chunked {
            self.queue.push_back(Bytes::from_static(b"0\r\n\r\n"));
        }
        self.framing = match self.framing {
            // Upstream sent less than it announced: the client must not take it for complete.
            Framing::Length(left) if left > 0 => Framing::Aborted,
            Framing::Aborted => Framing::Aborted,
            _ => Framing::Complete,
        };
    }
}

impl Response for Writer {
    fn informational(&mut self, head: &ResponseHead) {
        if !self.http_10 && self.framing == Framing::Unset {
            self.write_head(head);
        }
    }

    fn head(&mut self, mut head: ResponseHead, end: bool) {
        head.headers.remove(TRANSFER_ENCODING);
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.close = true;
            self.write_head(&head);
            self.framing = Framing::Complete;
            return;
        }
        self.framing = self.frame(head.status, &head.headers, end);
        match self.framing {
            Framing::Chunked => head.set(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
            Framing::Length(0) if end => head.set(CONTENT_LENGTH, HeaderValue::from_static("0")),
            Framing::UntilClose => self.close = true,
            _ => {}
        }
        if self.close {
            head.set(CONNECTION, HeaderValue::from_static("close"));
        } else if self.http_10 {
            // RFC 9112 §9.3: without it an HTTP/1.0 client must expect the connection to close.
            head.set(CONNECTION, HeaderValue::from_static("keep-alive"));
        }
        self.write_head(&head);
        if end {
            self.complete();
        }
    }

    fn data(&mut self, mut data: Bytes, end: bool) {
        match &mut self.framing {
            Framing::Chunked if !data.is_empty() => {
                let mut size = BytesMut::with_capacity(10).writer();
                let _ = write!(size, "{:x}\r\n", data.len()); // memory: cannot fail
                self.queue.extend([size.into_inner().freeze(), data, Bytes::from_static(b"\r\n")]);
            }
            Framing::Length(left) => {
                data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= data.len() as u64;
                self.queue.push_back(data);
            }
            Framing::UntilClose => self.queue.push_back(data),
            _ => {}
        }
        if end {
            self.complete();
        }
    }

    fn trailers(&mut self, _: HeaderMap) {
        self.complete(); // Envoy: `enable_trailers` is off for HTTP/1
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        while let Some(front) = self.queue.front_mut() {
            if front.is_empty() {
                self.queue.pop_front();
                continue;
            }
            match ready!(Pin::new(&mut self.stream).poll_write(cx, front)) {
                Ok(written) if written > 0 => front.advance(written),
                _ => return Poll::Ready(Err(Gone::Reset)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<Gone> {
        Poll::Pending // the reading half sees it
    }

    fn abort(&mut self) {
        self.queue.clear();
        self.framing = Framing::Aborted;
        self.close = true;
    }

    fn close_after(&mut self) {
        self.close = true;
    }
}
