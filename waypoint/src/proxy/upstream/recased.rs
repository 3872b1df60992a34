//! Keeps the spelling of header names across hyper, which lowers them: below it, heads are respelt as they are written
//! and looked at as they are read.
//!
//! Armed for one exchange at a time, by [`CaseTap::begin`]; otherwise bytes pass as they are. Invariant: the lengths of
//! what is written and read never change.

use crate::proxy::http::header_case::HeaderCase;
use bytes::{Buf as _, BytesMut};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::RESPONSE_HEAD_BYTES;

/// The handle of whoever sends requests on the connection.
#[derive(Clone, Default)]
pub struct CaseTap(Arc<Shared>);

#[derive(Default)]
struct Shared {
    armed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How the names of the request to come are spelt.
    request: Option<Arc<HeaderCase>>,
    /// The response's head as far as it came; `None` once it is complete or not wanted.
    reading: Option<BytesMut>,
    response: Option<Arc<HeaderCase>>,
}

impl CaseTap {
    /// The next head written is spelt like this, and the names of the next one read are remembered.
    pub fn begin(&self, request: Option<Arc<HeaderCase>>) {
        if request.is_none() && !self.0.armed.load(Ordering::Relaxed) {
            return;
        }
        self.0.armed.store(request.is_some(), Ordering::Relaxed);
        let reading = request.is_some().then(BytesMut::new);
        *self.lock() = State { request, reading, response: None };
    }

    /// The names of the response that was read.
    #[must_use]
    pub fn response(&self) -> Option<Arc<HeaderCase>> {
        if self.0.armed.load(Ordering::Relaxed) { self.lock().response.take() } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self) -> Option<Arc<HeaderCase>> {
        if self.0.armed.load(Ordering::Relaxed) { self.lock().request.clone() } else { None }
    }

    fn read(&self, bytes: &[u8]) {
        if !self.0.armed.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        let Some(mut head) = state.reading.take() else { return };
        head.extend_from_slice(bytes);
        while let Some(end) = end_of_head(&head) {
            let whole = head.split_to(end);
            if !is_interim(&whole) {
                state.response = Some(Arc::new(HeaderCase::of(&whole)));
                return;
            }
        }
        // hyper refuses what is longer.
        if head.len() <= RESPONSE_HEAD_BYTES {
            state.reading = Some(head);
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4)
}

/// 1xx, but for the answer to an upgrade.
fn is_interim(head: &[u8]) -> bool {
    head.get(9..12).is_some_and(|status| status[0] == b'1' && status != b"101")
}

/// The connection below hyper.
pub struct Recased<T> {
    inner: T,
    tap: CaseTap,
    /// A head that is not complete yet, then what of it was not written yet.
    head: BytesMut,
    respelt: bool,
}

impl<T> Recased<T> {
    pub fn new(inner: T, tap: CaseTap) -> Self {
        Self { inner, tap, head: BytesMut::new(), respelt: false }
    }
}

impl<T: AsyncWrite + Unpin> Recased<T> {
    /// Writes out a respelt head.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.respelt && !self.head.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.head))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.head.advance(written),
            }
        }
        self.respelt = false;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Recased<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_head(cx))?;
        let Some(case) = this.tap.request() else { return Pin::new(&mut this.inner).poll_write(cx, bytes) };
        this.head.extend_from_slice(bytes);
        if let Some(end) = end_of_head(&this.head) {
            case.restore(&mut this.head[..end]);
            this.tap.lock().request = None;
            this.respelt = true;
            // What does not go out now goes with the next write or flush.
            if let Poll::Ready(Err(error)) = this.poll_head(cx) {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_head(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_head(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Recased<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        this.tap.read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
