//! Bytes both ways between two streams, with each side's end passed on by itself.
//!
//! Invariant: a clean end of one direction becomes a clean end on the other stream; an error ends both, and the
//! survivor must not take it for a clean end (its owner resets it).

use crate::limits;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Bytes so far; readable while the copy runs.
#[derive(Debug, Default)]
pub struct Counters {
    /// From downstream to upstream.
    pub received: AtomicU64,
    /// From upstream to downstream.
    pub sent: AtomicU64,
}

/// How a copy ended.
#[derive(Debug)]
pub enum Ended {
    /// Both directions, in good order.
    Clean,
    Idle,
    TooLong,
    Downstream(io::Error),
    Upstream(io::Error),
}

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// No byte in either direction for this long; zero: never.
    pub idle: Duration,
    pub duration: Option<Duration>,
}

/// Copies until both directions ended or one failed.
pub async fn copy<D, U>(
    downstream: &mut D,
    upstream: &mut U,
    bounds: Bounds,
    counters: &Arc<Counters>,
) -> Ended
where
    D: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (mut out, mut back) = (Half::new(), Half::new());
    let idle = if bounds.idle.is_zero() { FAR } else { bounds.idle };
    let quiet = tokio::time::sleep(idle);
    let limit = tokio::time::sleep(bounds.duration.unwrap_or(FAR));
    tokio::pin!(quiet, limit);
    poll_fn(|cx| {
        let before = out.total + back.total;
        let first = out.poll(cx, downstream, upstream);
        let second = back.poll(cx, upstream, downstream);
        counters.received.store(out.total, Ordering::Relaxed);
        counters.sent.store(back.total, Ordering::Relaxed);
        match (first, second) {
            (Poll::Ready(Err(error)), _) => return Poll::Ready(error.seen_from(true)),
            (_, Poll::Ready(Err(error))) => return Poll::Ready(error.seen_from(false)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(Ended::Clean),
            _ => {}
        }
        if out.total + back.total > before {
            quiet.as_mut().reset(Instant::now() + idle);
        }
        if quiet.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ended::Idle);
        }
        limit.as_mut().poll(cx).map(|()| Ended::TooLong)
    })
    .await
}

/// Long enough to mean never, short enough for the timer wheel.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Which end of a half failed.
enum HalfError {
    Reading(io::Error),
    Writing(io::Error),
}

impl HalfError {
    /// `out`: the half that reads from downstream.
    fn seen_from(self, out: bool) -> Ended {
        match (self, out) {
            (Self::Reading(error), true) | (Self::Writing(error), false) => Ended::Downstream(error),
            (Self::Reading(error), false) | (Self::Writing(error), true) => Ended::Upstream(error),
        }
    }
}

struct Half {
    buffer: Box<[u8]>,
    filled: usize,
    written: usize,
    total: u64,
    state: State,
    dirty: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Copying,
    Ending,
    Ended,
}

impl Half {
    fn new() -> Self {
        let buffer = vec![0; limits::COPY_BUFFER].into();
        Self { buffer, filled: 0, written: 0, total: 0, state: State::Copying, dirty: false }
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<Result<(), HalfError>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(HalfError::Writing)?;
                    self.state = State::Ended;
                }
                State::Copying if self.written < self.filled => {
                    let rest = &self.buffer[self.written..self.filled];
                    let count =
                        ready!(Pin::new(&mut *to).poll_write(cx, rest)).map_err(HalfError::Writing)?;
                    if count == 0 {
                        return Poll::Ready(Err(HalfError::Writing(io::ErrorKind::WriteZero.into())));
                    }
                    self.written += count;
                    self.total += count as u64;
                    self.dirty = true;
                }
                State::Copying => ready!(self.poll_fill(cx, from, to))?,
            }
        }
    }

    fn poll_fill<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<Result<(), HalfError>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut free = ReadBuf::new(&mut self.buffer);
        match Pin::new(from).poll_read(cx, &mut free) {
            Poll::Ready(Ok(())) => {
                (self.written, self.filled) = (0, free.filled().len());
                if self.filled == 0 {
                    self.state = State::Ending;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(HalfError::Reading(error))),
            Poll::Pending => {
                // Nothing more to gather: what was written should leave now.
                if self.dirty {
                    ready!(Pin::new(to).poll_flush(cx)).map_err(HalfError::Writing)?;
                    self.dirty = false;
                }
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests;
