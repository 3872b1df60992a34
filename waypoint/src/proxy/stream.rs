//! The inner connection: bytes already looked at first, then the tunnel; shared by a reader and a writer.
//!
//! Pingora's server session owns a boxed stream and gives no write access while it reads. So it gets a handle of its
//! own, and responses go past it: both directions can make progress at the same time.
//!
//! Invariant: both handles are used by one task, so the lock is never contended and never held across an await.

use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
use mesh::hbone::TunnelStream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// A stream whose first bytes were read by somebody else.
#[derive(Debug)]
pub struct Rewind<T> {
    prefix: Bytes,
    inner: T,
}

impl<T> Rewind<T> {
    pub fn new(prefix: Bytes, inner: T) -> Self {
        Self { prefix, inner }
    }

    /// Puts bytes back in front of what comes next.
    #[must_use]
    pub fn unread(mut self, bytes: Bytes) -> Self {
        self.prefix =
            if self.prefix.is_empty() { bytes } else { [&bytes[..], &self.prefix[..]].concat().into() };
        self
    }

    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Rewind<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let count = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..count]);
        self.prefix.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rewind<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The tunnel's inside as every protocol above it sees it.
pub type InnerStream = Rewind<TunnelStream>;

/// Ends a tunnel whose CONNECT was answered already.
pub async fn refuse(mut stream: InnerStream) {
    // A reset drops what is queued for the stream; the connection's task, already woken, first sends the 200.
    tokio::task::yield_now().await;
    stream.get_mut().reset(h2::Reason::CONNECT_ERROR);
}

/// One of the two handles.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<InnerStream>>);

impl Shared {
    pub fn new(stream: InnerStream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// Ends the connection so that the client cannot take it for a clean end.
    pub fn reset(&self) {
        self.lock().get_mut().reset(h2::Reason::INTERNAL_ERROR);
    }

    fn lock(&self) -> MutexGuard<'_, InnerStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(cx)
    }
}

// What Pingora asks of a stream beyond bytes; a tunnel's inside has no socket, no TLS and nothing to peek at.
impl UniqueID for Shared {
    fn id(&self) -> UniqueIDType {
        -1
    }
}

impl Ssl for Shared {}

impl GetTimingDigest for Shared {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Shared {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Shared {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Peek for Shared {}

#[async_trait]
impl Shutdown for Shared {
    async fn shutdown(&mut self) {
        // A peer that is gone needs no goodbye.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}
