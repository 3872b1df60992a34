//! One CONNECT stream as bytes.
//!
//! Writes are gathered into DATA frames of up to `limits::TUNNEL_WRITE_BUFFER` bytes; what is gathered is sent on flush, when it
//! is full, and when the read side is polled (a caller that reads has nothing more to write just now; pumps that write
//! a whole message and then wait for its answer need no flush of their own).
//!
//! Invariants:
//! * END_STREAM reads as EOF, RST_STREAM as `ConnectionReset`. One exception: RST_STREAM(NO_ERROR) reads as EOF, since RFC 9113
//!   §8.1 allows it only after a complete response; to the writer it is `BrokenPipe`.
//!   Differs from ztunnel: it also takes CANCEL for EOF, which makes an aborted download look complete.
//! * Only `poll_shutdown` sends END_STREAM. A stream dropped before is reset with CANCEL.
//! * Flow-control credit goes back only as the bytes are taken, so a slow reader holds at most one window.

use crate::hbone::error::stream_error;
use crate::hbone::lease::Lease;
use crate::limits;
use bytes::{Buf, Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One CONNECT stream as bytes.
pub struct TunnelStream {
    recv: RecvStream,
    send: SendStream<Bytes>,
    /// Received, not yet read.
    incoming: Bytes,
    /// Size of the chunk `incoming` is the rest of; its credit is given back when it is used up.
    unreleased: usize,
    /// Written, not yet handed to h2.
    outgoing: BytesMut,
    /// END_STREAM or RST_STREAM was sent.
    ended: bool,
    /// Keeps the pooled connection's count.
    _lease: Option<Lease>,
}

impl TunnelStream {
    /// A stream somebody else opened, as bytes.
    #[must_use]
    pub fn over(recv: RecvStream, send: SendStream<Bytes>) -> Self {
        Self::new(recv, send, None)
    }

    pub(super) fn new(recv: RecvStream, send: SendStream<Bytes>, lease: Option<Lease>) -> Self {
        Self {
            recv,
            send,
            incoming: Bytes::new(),
            unreleased: 0,
            outgoing: BytesMut::new(),
            ended: false,
            _lease: lease,
        }
    }

    /// Ends the stream at once, both ways. What is still buffered, here or in h2, is dropped.
    pub fn reset(&mut self, reason: Reason) {
        self.outgoing.clear();
        self.ended = true;
        self.send.send_reset(reason);
    }

    /// The next received bytes without copying them; `None` at the end. For pumps that pass `Bytes` on.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.send_while_reading(cx);
        match ready!(self.poll_fill(cx)) {
            Ok(true) => {
                let chunk = std::mem::take(&mut self.incoming);
                self.release();
                Poll::Ready(Some(Ok(chunk)))
            }
            Ok(false) => Poll::Ready(None),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    /// Makes `incoming` non-empty. False at the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.incoming.is_empty() {
            match ready!(self.recv.poll_data(cx)) {
                Some(Ok(chunk)) => {
                    self.unreleased = chunk.len();
                    self.incoming = chunk;
                }
                None => return Poll::Ready(Ok(false)),
                Some(Err(error)) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => {
                    return Poll::Ready(Ok(false));
                }
                Some(Err(error)) => return Poll::Ready(Err(stream_error(error))),
            }
        }
        Poll::Ready(Ok(true))
    }

    fn release(&mut self) {
        // Fails only when more is released than was received.
        let _ = self.recv.flow_control().release_capacity(std::mem::take(&mut self.unreleased));
    }

    /// Hands `outgoing` to h2, as fast as the peer's window allows.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            if self.send.capacity() == 0 {
                self.send.reserve_capacity(self.outgoing.len());
                match ready!(self.send.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return Poll::Ready(Err(stream_error(error))),
                    None => return Poll::Ready(Err(self.send_closed(cx))),
                }
            }
            let length = self.send.capacity().min(self.outgoing.len());
            let chunk = self.outgoing.split_to(length).freeze();
            self.send.send_data(chunk, false).map_err(|_| self.send_closed(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Why nothing can be sent any more.
    fn send_closed(&mut self, cx: &mut Context<'_>) -> io::Error {
        match self.send.poll_reset(cx) {
            Poll::Ready(Ok(Reason::NO_ERROR)) | Poll::Pending => io::ErrorKind::BrokenPipe.into(),
            Poll::Ready(Ok(reason)) => io::Error::new(io::ErrorKind::ConnectionReset, reason.description()),
            Poll::Ready(Err(error)) => stream_error(error),
        }
    }

    /// A reader has nothing to write for now. A failure to send is the next write's to report: there may still be bytes to read.
    fn send_while_reading(&mut self, cx: &mut Context<'_>) {
        if !self.outgoing.is_empty() && !self.ended {
            let _ = self.poll_send(cx);
        }
    }

    /// Waits for room in `outgoing` and tells how much there is.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.outgoing.len() >= limits::TUNNEL_WRITE_BUFFER {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(limits::TUNNEL_WRITE_BUFFER - self.outgoing.len()))
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.send_while_reading(cx);
        if buf.remaining() > 0 && ready!(self.poll_fill(cx))? {
            let length = self.incoming.len().min(buf.remaining());
            buf.put_slice(&self.incoming[..length]);
            self.incoming.advance(length);
            if self.incoming.is_empty() {
                self.release();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let length = ready!(self.poll_room(cx))?.min(buf.len());
        self.outgoing.extend_from_slice(&buf[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = ready!(self.poll_room(cx))?;
        let before = self.outgoing.len();
        for buf in bufs {
            let left = room - (self.outgoing.len() - before);
            self.outgoing.extend_from_slice(&buf[..left.min(buf.len())]);
        }
        Poll::Ready(Ok(self.outgoing.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            ready!(self.poll_send(cx))?;
            self.send.send_data(Bytes::new(), true).map_err(|_| self.send_closed(cx))?;
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for TunnelStream {
    fn drop(&mut self) {
        if !self.ended {
            self.send.send_reset(Reason::CANCEL);
        }
    }
}

impl fmt::Debug for TunnelStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelStream").field("id", &self.send.stream_id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
