//! Request body that a filter wants before there is an upstream: read up to a bound, kept, and sent on later.

use super::deadlines::Deadlines;
use super::{Refusal, Request};
use crate::proxy::http::session::{Piece, RequestBody as _, Response as _, ResponseHead, Session};
use bytes::Bytes;
use http::header::EXPECT;
use http::{HeaderMap, StatusCode};
use std::future::poll_fn;
use tokio::time::Instant;
use waypoint_core::failure::Failure;
use waypoint_core::model::http_chain::HttpChain;
use waypoint_core::routing::timeouts::Timeouts;

/// What was read so far, in order.
#[derive(Debug, Default)]
pub struct Early {
    pub pieces: Vec<Bytes>,
    pub bytes: usize,
    /// `Some`: the request is complete, with these trailers if any.
    pub end: Option<Option<HeaderMap>>,
}

impl Early {
    /// Reads until there are `enough` bytes or the request ends.
    ///
    /// # Errors
    /// When the client left, or one of the chain's clocks ran out.
    pub(super) async fn read<S: Session>(
        &mut self,
        session: &mut S,
        request: &mut Request,
        chain: &HttpChain,
        enough: usize,
    ) -> Result<(), Refusal> {
        let mut deadlines = Deadlines::new(&Timeouts::default(), chain, Instant::now());
        let (body, response) = session.halves();
        if self.end.is_none() && request.headers.remove(EXPECT).is_some() {
            // The client waits to be asked for the body, and it is wanted here already.
            response.informational(&ResponseHead::new(StatusCode::CONTINUE));
            poll_fn(|cx| response.poll_drained(cx)).await.map_err(|_| Refusal::Gone)?;
        }
        while self.end.is_none() && self.bytes < enough {
            let piece = match deadlines.next() {
                None => body.next().await,
                Some((at, expired)) => match tokio::time::timeout_at(at, body.next()).await {
                    Ok(piece) => piece,
                    Err(_) => return Err(expired.failure(false).into()),
                },
            };
            deadlines.moved(false, Instant::now());
            self.take(piece.map_err(|_| Refusal::Gone)?);
            if self.end.is_none() && body.is_done() {
                self.end = Some(None);
            }
        }
        Ok(())
    }

    fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Data(data) => {
                self.bytes += data.len();
                self.pieces.push(data);
            }
            Piece::Trailers(trailers) => self.end = Some(Some(trailers)),
            Piece::End => self.end = Some(None),
        }
    }

    /// Its first bytes, and whether more follow.
    ///
    /// # Errors
    /// When there is more than `max` and a part will not do.
    pub(super) fn first(&self, max: usize, allow_partial: bool) -> Result<(Vec<u8>, bool), Failure> {
        let partial = self.bytes > max || self.end.is_none();
        if partial && !allow_partial {
            return Err(Failure::payload_too_large());
        }
        let mut first = Vec::with_capacity(self.bytes.min(max));
        for piece in &self.pieces {
            let room = max - first.len();
            first.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        Ok((first, partial))
    }
}

#[cfg(test)]
mod tests;
