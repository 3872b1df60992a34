//! The request body on its way: to the attempt at hand, into the buffer a retry would need, and to mirrors.

use super::early::Early;
use crate::limits;
use crate::proxy::http::body::{Slot, UpstreamBody};
use crate::proxy::http::session::{Gone, Piece};
use bytes::Bytes;
use http::HeaderMap;
use std::task::{Context, Poll};
use waypoint_core::grpc::messages::Messages;
use waypoint_core::grpc::web::{Decoder, NotBase64};

pub struct Upload {
    /// `None` when the request has no body.
    slot: Option<Slot>,
    length: Option<u64>,
    /// What was read so far, while it can still be sent, or sent again.
    kept: Vec<Bytes>,
    /// Whether it will be wanted again once it is on its way.
    repeatable: bool,
    /// Whether the client has heard of an endpoint already.
    settled: bool,
    started: bool,
    kept_bytes: usize,
    trailers: Option<HeaderMap>,
    ended: bool,
    mirrors: Vec<Slot>,
    content: Content,
    pub bytes: u64,
}

/// What is done with the body's bytes as they pass.
#[derive(Default)]
pub struct Content {
    /// They are base64 towards us.
    pub decoder: Option<Decoder>,
    pub messages: Option<Messages>,
}

impl Content {
    fn pass(&mut self, data: Bytes) -> Result<Bytes, Gone> {
        let data = match &mut self.decoder {
            Some(decoder) => decoder.decode(&data).map_err(|NotBase64| Gone::Protocol)?,
            None => data,
        };
        if let Some(messages) = &mut self.messages {
            messages.pass(&data);
        }
        Ok(data)
    }

    fn end(&self) -> Result<(), Gone> {
        self.decoder.as_ref().map_or(Ok(()), |decoder| decoder.end().map_err(|NotBase64| Gone::Protocol))
    }
}

impl Upload {
    #[must_use]
    pub fn new(has_body: bool, length: Option<u64>, early: Early) -> Self {
        let bytes = early.bytes;
        let ended = !has_body || early.end.is_some();
        Self {
            slot: has_body.then(Slot::default),
            length,
            kept: early.pieces,
            repeatable: bytes <= limits::RETRY_BODY_BYTES,
            settled: false,
            started: false,
            kept_bytes: bytes,
            trailers: early.end.flatten(),
            ended,
            mirrors: Vec::new(),
            content: Content::default(),
            bytes: bytes as u64,
        }
    }

    /// Reads the body as `content` from its first byte on, also what a filter had read before.
    ///
    /// # Errors
    /// When that is not what the head announced.
    pub fn read_as(&mut self, mut content: Content) -> Result<(), Gone> {
        let kept = std::mem::take(&mut self.kept);
        self.kept = kept.into_iter().map(|piece| content.pass(piece)).collect::<Result<_, _>>()?;
        if self.ended {
            content.end()?;
        }
        self.content = content;
        Ok(())
    }

    /// gRPC messages so far, where they are counted.
    #[must_use]
    pub fn messages(&self) -> Option<u64> {
        self.content.messages.as_ref().map(Messages::count)
    }

    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether another attempt could send the whole request.
    #[must_use]
    pub fn can_repeat(&self) -> bool {
        !self.settled && (self.slot.is_none() || self.repeatable)
    }

    /// Nobody will ask for a repetition any more.
    pub fn forget(&mut self) {
        self.repeatable = false;
        if self.started {
            self.kept = Vec::new();
        }
    }

    /// The client has heard of the endpoint that has it; no other may answer.
    pub fn answered(&mut self) {
        self.settled = true;
        self.forget();
    }

    /// The body of the next attempt.
    pub fn attempt(&mut self) -> UpstreamBody {
        if self.slot.is_none() {
            return UpstreamBody::Empty;
        }
        self.started = true;
        let pieces = if self.repeatable { self.kept.clone() } else { std::mem::take(&mut self.kept) };
        let slot = Slot::replaying(pieces);
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
        let slot = Slot::replaying(self.kept.iter().cloned());
        if self.ended {
            slot.end(self.trailers.clone());
        } else {
            self.mirrors.push(slot.clone());
        }
        UpstreamBody::Slot { slot, length: self.length }
    }

    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.slot.as_ref().map_or(Poll::Ready(()), |slot| slot.poll_room(cx))
    }

    /// # Errors
    /// When the piece is not what the head announced.
    pub fn accept(&mut self, piece: Piece) -> Result<(), Gone> {
        match piece {
            Piece::Data(data) => self.data(data)?,
            Piece::Trailers(trailers) => self.end(Some(trailers))?,
            Piece::End => self.end(None)?,
        }
        Ok(())
    }

    fn data(&mut self, data: Bytes) -> Result<(), Gone> {
        self.bytes += data.len() as u64;
        let data = self.content.pass(data)?;
        self.kept_bytes += data.len();
        if self.kept_bytes > limits::RETRY_BODY_BYTES {
            self.forget();
        }
        if self.repeatable {
            self.kept.push(data.clone());
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
        Ok(())
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Gone> {
        self.content.end()?;
        self.ended = true;
        for slot in self.mirrors.drain(..).chain(self.slot.clone()) {
            slot.end(trailers.clone());
        }
        self.trailers = trailers;
        Ok(())
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

#[cfg(test)]
mod tests;
