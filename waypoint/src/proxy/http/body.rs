//! The request body between a downstream session and hyper's upstream connection: a hand-over of one piece at a time.
//!
//! No channel and no task: the exchange puts a piece in when there is room, hyper's connection takes it out.
//! Invariant: at most one piece waits (besides those replayed for a retry), so a slow upstream slows the client down.

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    /// Nothing follows what is queued.
    ended: bool,
    /// The request was cut short: upstream must not take it for complete.
    failed: bool,
    /// Nobody will take anything any more.
    dropped: bool,
    taker: Option<Waker>,
    giver: Option<Waker>,
}

/// The giving end, held by the exchange.
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<State>>);

/// The taking end, given to hyper.
pub enum UpstreamBody {
    Empty,
    Slot { slot: Slot, length: Option<u64> },
}

impl Slot {
    /// A slot that starts with what an earlier attempt already sent.
    #[must_use]
    pub fn replaying(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let slot = Self::default();
        slot.lock().pieces.extend(pieces);
        slot
    }

    /// Ready when a piece can be put in, or nobody wants one.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.pieces.is_empty() || state.dropped {
            return Poll::Ready(());
        }
        state.giver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Pieces nobody took yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().pieces.len()
    }

    pub fn put(&self, piece: Bytes) {
        self.update(|state| {
            if !state.dropped {
                state.pieces.push_back(piece);
            }
        });
    }

    pub fn end(&self, trailers: Option<HeaderMap>) {
        self.update(|state| {
            state.trailers = trailers;
            state.ended = true;
        });
    }

    /// The client is gone; what upstream has is not a whole request.
    pub fn fail(&self) {
        self.update(|state| {
            state.failed = true;
            state.ended = true;
        });
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let taker = state.taker.take();
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut state = self.lock();
        if state.failed {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        if let Some(piece) = state.pieces.pop_front() {
            if let Some(giver) = state.giver.take() {
                giver.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if !state.ended {
            state.taker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(state.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Slot { slot, .. } => slot.poll_take(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Slot { slot, .. } => {
                let state = slot.lock();
                state.pieces.is_empty() && state.ended && !state.failed && state.trailers.is_none()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Slot { length, .. } => length.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if let Self::Slot { slot, .. } = self {
            let mut state = slot.lock();
            state.dropped = true;
            state.pieces.clear();
            if let Some(giver) = state.giver.take() {
                giver.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests;
