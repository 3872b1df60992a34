//! The bytes of one request head, read to their end before anybody parses them.
//!
//! A parser that reads by itself decides what is too long or malformed before we can; here the chain's limits do, and
//! what can never become a head (a TLS record on a plain port) is answered at its first bytes.

use crate::limits;
use bytes::BytesMut;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;
use waypoint_core::failure::Failure;

/// Room for what most heads need, and the step in which it grows.
const STEP: usize = 4 << 10;

pub(super) enum Arrived {
    /// A head of this many bytes, its empty line included.
    Head(usize),
    Refused(Failure),
    /// The client closed, or sent nothing in time.
    Nothing,
}

#[derive(Default)]
pub(super) struct Intake {
    bytes: BytesMut,
    /// Where the line begins that is not complete yet.
    line: usize,
    /// How far it was looked at.
    seen: usize,
    request_line: bool,
}

enum Look {
    End(usize),
    More,
    Malformed,
}

impl Intake {
    pub(super) fn new(bytes: BytesMut) -> Self {
        Self { bytes, ..Self::default() }
    }

    pub(super) fn into_bytes(self) -> BytesMut {
        self.bytes
    }

    /// The first byte may take `idle`, the others a bound of their own.
    pub(super) async fn read<R>(&mut self, stream: &mut R, limit: usize, idle: Duration) -> Arrived
    where
        R: AsyncRead + Unpin,
    {
        if self.bytes.is_empty() {
            self.bytes.reserve(STEP);
            match timeout(idle, stream.read_buf(&mut self.bytes)).await {
                Ok(Ok(read)) if read > 0 => {}
                _ => return Arrived::Nothing,
            }
        }
        let rest = self.read_rest(stream, limit);
        timeout(limits::REQUEST_HEAD_TIMEOUT, rest)
            .await
            .unwrap_or_else(|_| Arrived::Refused(Failure::request_timeout()))
    }

    async fn read_rest<R: AsyncRead + Unpin>(&mut self, stream: &mut R, limit: usize) -> Arrived {
        loop {
            match self.look() {
                Look::End(length) => return Arrived::Head(length),
                Look::Malformed => return Arrived::Refused(Failure::codec_error()),
                Look::More if self.bytes.len() > limit => {
                    return Arrived::Refused(Failure::headers_too_large());
                }
                Look::More => {}
            }
            self.bytes.reserve(STEP);
            match stream.read_buf(&mut self.bytes).await {
                Ok(read) if read > 0 => {}
                _ => return Arrived::Refused(Failure::codec_error()),
            }
        }
    }

    /// Looks at what is new. An empty line ends the head, whichever way its line ends are written.
    fn look(&mut self) -> Look {
        while let Some(at) = self.bytes[self.seen..].iter().position(|b| *b == b'\n') {
            let end = self.seen + at;
            let empty = matches!(&self.bytes[self.line..end], b"" | b"\r");
            if empty && self.request_line {
                return Look::End(end + 1);
            }
            if !empty && self.has_control(end) {
                return Look::Malformed;
            }
            self.request_line |= !empty;
            self.line = end + 1;
            self.seen = self.line;
        }
        if self.has_control(self.bytes.len()) {
            return Look::Malformed;
        }
        self.seen = self.bytes.len();
        Look::More
    }

    /// A request line has no control characters: bytes that have are no HTTP/1, and may never have a line end.
    fn has_control(&self, end: usize) -> bool {
        let new = &self.bytes[self.seen..end];
        !self.request_line && new.iter().any(|b| b.is_ascii_control() && *b != b'\r')
    }
}

#[cfg(test)]
mod tests;
