//! Moving bytes both ways with faithful half-close.
//!
//! Invariants: an end of one side is passed on as an end, a failure never as an end. A connection with nothing to move holds no
//! buffer: one is borrowed from the worker when bytes may be there, and kept only while they wait for the other side.

use crate::limits::{COPY_BUFFER, COPY_BUFFERS_KEPT, COPY_BURST};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Which side of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Downstream,
    Upstream,
}

#[derive(Debug, thiserror::Error)]
#[error("{side:?}: {error}")]
pub struct CopyError {
    pub side: Side,
    pub error: io::Error,
}

thread_local! {
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

fn borrow() -> Box<[u8]> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; COPY_BUFFER].into_boxed_slice())
}

fn give_back(buffer: Box<[u8]>) {
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < COPY_BUFFERS_KEPT {
            spare.push(buffer);
        }
    });
}

/// Bytes read that the other side has not taken.
struct Pending {
    buffer: Box<[u8]>,
    from: usize,
    to: usize,
}

/// One direction.
#[derive(Default)]
struct Half {
    pending: Option<Pending>,
    /// Written since the last flush.
    unflushed: bool,
    ended: bool,
    done: bool,
}

impl Half {
    /// Ready when the end of the reader has reached the writer. The error says whether the writer failed.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        (mut reader, mut writer): (Pin<&mut R>, Pin<&mut W>),
        count: &mut impl FnMut(usize),
    ) -> Poll<Result<(), (bool, io::Error)>>
    where
        R: AsyncRead + ?Sized,
        W: AsyncWrite + ?Sized,
    {
        let mut moved = 0;
        loop {
            if let Some(pending) = &mut self.pending {
                while pending.from < pending.to {
                    let chunk = &pending.buffer[pending.from..pending.to];
                    let written =
                        ready!(writer.as_mut().poll_write(cx, chunk)).map_err(|error| (true, error))?;
                    if written == 0 {
                        return Poll::Ready(Err((true, io::ErrorKind::WriteZero.into())));
                    }
                    pending.from += written;
                    count(written);
                }
                self.unflushed = true;
                if let Some(pending) = self.pending.take() {
                    moved += pending.to;
                    give_back(pending.buffer);
                }
            }
            if self.ended {
                ready!(writer.as_mut().poll_shutdown(cx)).map_err(|error| (true, error))?;
                self.done = true;
                return Poll::Ready(Ok(()));
            }
            if moved >= COPY_BURST {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.poll_fill(cx, reader.as_mut()).map_err(|error| (false, error))?.is_pending() {
                if self.unflushed {
                    ready!(writer.as_mut().poll_flush(cx)).map_err(|error| (true, error))?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
        }
    }

    fn poll_fill<R: AsyncRead + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        reader: Pin<&mut R>,
    ) -> Poll<io::Result<()>> {
        let mut buffer = borrow();
        let mut read = ReadBuf::new(&mut buffer);
        let polled = reader.poll_read(cx, &mut read);
        let to = read.filled().len();
        match polled {
            Poll::Ready(Ok(())) if to > 0 => {
                self.pending = Some(Pending { buffer, from: 0, to });
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Ok(())) => self.ended = true,
            _ => {}
        }
        give_back(buffer);
        polled
    }
}

/// Runs until both directions ended, or one failed. `count(side, n)`: `n` bytes that came from `side` were passed on.
///
/// # Errors
/// Of the first side that failed; the caller must end the other so that it does not look like a clean end.
pub async fn copy_both_ways<D, U>(
    downstream: &mut D,
    upstream: &mut U,
    mut count: impl FnMut(Side, usize),
) -> Result<(), CopyError>
where
    D: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let (mut out, mut back) = (Half::default(), Half::default());
    let fault = |reader: Side, writer: Side| {
        move |(writing, error)| CopyError { side: if writing { writer } else { reader }, error }
    };
    poll_fn(|cx| {
        if !out.done {
            let polled = out.poll(cx, (Pin::new(&mut *downstream), Pin::new(&mut *upstream)), &mut |n| {
                count(Side::Downstream, n);
            });
            if let Poll::Ready(result) = polled {
                result.map_err(fault(Side::Downstream, Side::Upstream))?;
            }
        }
        if !back.done {
            let polled = back.poll(cx, (Pin::new(&mut *upstream), Pin::new(&mut *downstream)), &mut |n| {
                count(Side::Upstream, n);
            });
            if let Poll::Ready(result) = polled {
                result.map_err(fault(Side::Upstream, Side::Downstream))?;
            }
        }
        if out.done && back.done { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

#[cfg(test)]
mod tests;
