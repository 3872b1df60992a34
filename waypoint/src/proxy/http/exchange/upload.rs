//! The request body on its way: to the attempt at hand, into the buffer a retry would need, and to mirrors.

use crate::limits;
use crate::proxy::http::body::{Slot, UpstreamBody};
use crate::proxy::http::session::Piece;
use bytes::Bytes;
use http::HeaderMap;
use std::task::{Context, Poll};

pub struct Upload {
    /// `None` when the request has no body.
    slot: Option<Slot>,
    length: Option<u64>,
    /// What was read so far, while it can still be sent again.
    kept: Option<Vec<Bytes>>,
    kept_bytes: usize,
    trailers: Option<HeaderMap>,
    ended: bool,
    mirrors: Vec<Slot>,
    pub bytes: u64,
}

impl Upload {
    #[must_use]
    pub fn new(has_body: bool, length: Option<u64>) -> Self {
        Self {
            slot: has_body.then(Slot::default),
            length,
            kept: has_body.then(Vec::new),
            kept_bytes: 0,
            trailers: None,
            ended: !has_body,
            mirrors: Vec::new(),
            bytes: 0,
        }
    }

    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether another attempt could send the whole request.
    #[must_use]
    pub fn can_repeat(&self) -> bool {
        self.slot.is_none() || self.kept.is_some()
    }

    /// Nobody will ask for a repetition any more.
    pub fn forget(&mut self) {
        if self.slot.is_some() {
            self.kept = None;
        }
    }

    /// The body of the next attempt.
    pub fn attempt(&mut self) -> UpstreamBody {
        if self.slot.is_none() {
            return UpstreamBody::Empty;
        }
        let slot = Slot::replaying(self.kept.iter().flatten().cloned());
        if self.ended {
            slot.end(self.trailers.clone());
        }
        self.slot = Some(slot.clone());
        UpstreamBody::Slot { slot, length: self.length }
    }

    /// A body for a copy of the request.
    pub fn mirror(&mut self) -> UpstreamBody {
        if self.slot.is_none() {
            return UpstreamBody::Empty;
        }
        let slot = Slot::default();
        self.mirrors.push(slot.clone());
        UpstreamBody::Slot { slot, length: self.length }
    }

    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.slot.as_ref().map_or(Poll::Ready(()), |slot| slot.poll_room(cx))
    }

    pub fn accept(&mut self, piece: Piece) {
        match piece {
            Piece::Data(data) => self.data(data),
            Piece::Trailers(trailers) => self.end(Some(trailers)),
            Piece::End => self.end(None),
        }
    }

    fn data(&mut self, data: Bytes) {
        self.bytes += data.len() as u64;
        self.kept_bytes += data.len();
        if self.kept_bytes > limits::RETRY_BODY_BYTES {
            self.forget();
        }
        if let Some(kept) = &mut self.kept {
            kept.push(data.clone());
        }
        self.mirrors.retain(|mirror| {
            let keeps_up = mirror.waiting() < limits::MIRROR_CHUNKS;
            if keeps_up {
                mirror.put(data.clone());
            } else {
                mirror.fail();
            }
            keeps_up
        });
        if let Some(slot) = &self.slot {
            slot.put(data);
        }
    }

    fn end(&mut self, trailers: Option<HeaderMap>) {
        self.ended = true;
        for slot in self.mirrors.drain(..).chain(self.slot.clone()) {
            slot.end(trailers.clone());
        }
        self.trailers = trailers;
    }

    /// The request is cut short: nobody may take what was sent for the whole.
    pub fn fail(&mut self) {
        if !self.ended {
            for slot in self.mirrors.drain(..).chain(self.slot.clone()) {
                slot.fail();
            }
        }
    }
}

impl Drop for Upload {
    /// An exchange that ends early, by a panic or a dropped connection, must not leave half a request that looks whole.
    fn drop(&mut self) {
        self.fail();
    }
}
