//! gRPC-Web: gRPC as a browser can speak it, without trailers and, if asked for, in base64.
//!
//! Not here: which chains translate it (the filter's place in the chain), and CORS (a filter of its own; what a script may
//! read is its `expose_headers`). Spec: grpc/grpc `PROTOCOL-WEB.md`. Envoy: `envoy.filters.http.grpc_web`.

use super::messages::Messages;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write as _;

const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const BINARY: &[u8] = b"application/grpc-web";
const TEXT: &[u8] = b"application/grpc-web-text";

/// How one side writes its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Binary,
    Text,
}

/// One translated exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcWeb {
    pub request: Encoding,
    pub response: Encoding,
}

impl Encoding {
    fn of(value: Option<&HeaderValue>) -> Option<Self> {
        let is = |name: &[u8]| {
            let rest = value.and_then(|value| value.as_bytes().strip_prefix(name));
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b',')))
        };
        if is(TEXT) {
            return Some(Self::Text);
        }
        is(BINARY).then_some(Self::Binary)
    }
}

impl GrpcWeb {
    /// Makes a gRPC-Web request gRPC; `None` leaves any other request alone.
    pub fn begin(headers: &mut HeaderMap) -> Option<Self> {
        let request = Encoding::of(headers.get(CONTENT_TYPE))?;
        // Envoy: only `accept` asks for text.
        let response = Encoding::of(headers.get(ACCEPT)).unwrap_or(Encoding::Binary);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity,deflate,gzip"));
        headers.remove(CONTENT_LENGTH);
        Some(Self { request, response })
    }

    /// Makes the head of a gRPC response gRPC-Web. `None`: it is no gRPC and stays what it is, status included.
    pub fn respond(self, headers: &mut HeaderMap) -> Option<Encoder> {
        if !crate::failure::is_grpc(headers.get(CONTENT_TYPE)) {
            return None;
        }
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static(match self.response {
                Encoding::Binary => "application/grpc-web+proto",
                Encoding::Text => "application/grpc-web-text+proto",
            }),
        );
        headers.remove(CONTENT_LENGTH);
        Some(Encoder { encoding: self.response, messages: Messages::default(), held: BytesMut::new() })
    }
}

/// The request body was not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBase64;

/// Request bytes to gRPC bytes.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    /// Characters of a group that is not complete yet.
    held: BytesMut,
}

impl Decoder {
    /// `None` where nothing has to be decoded.
    #[must_use]
    pub fn of(encoding: Encoding) -> Option<Self> {
        (encoding == Encoding::Text).then(Self::default)
    }

    /// # Errors
    /// When the characters are not base64.
    pub fn decode(&mut self, data: &Bytes) -> Result<Bytes, NotBase64> {
        self.held.extend_from_slice(data);
        let whole = self.held.len() / 4 * 4;
        let text = self.held.split_to(whole);
        let mut decoded = BytesMut::with_capacity(whole / 4 * 3);
        let mut rest = &text[..];
        // Each message may have been encoded, and padded, by itself.
        while !rest.is_empty() {
            let end =
                rest.chunks(4).position(|group| group.contains(&b'=')).map_or(rest.len(), |at| at * 4 + 4);
            decoded.extend_from_slice(&STANDARD.decode(&rest[..end]).map_err(|_| NotBase64)?);
            rest = &rest[end..];
        }
        Ok(decoded.freeze())
    }

    /// # Errors
    /// When the last group is not complete.
    pub fn end(&self) -> Result<(), NotBase64> {
        if self.held.is_empty() { Ok(()) } else { Err(NotBase64) }
    }
}

/// gRPC bytes of a response to the client's form.
#[derive(Clone, Debug)]
pub struct Encoder {
    encoding: Encoding,
    messages: Messages,
    /// At most two bytes of a message that goes on: padding belongs between messages only.
    held: BytesMut,
}

impl Encoder {
    pub fn encode(&mut self, data: Bytes) -> Bytes {
        if self.encoding == Encoding::Binary {
            return data;
        }
        self.messages.pass(&data);
        self.held.extend_from_slice(&data);
        let length = if self.messages.at_boundary() { self.held.len() } else { self.held.len() / 3 * 3 };
        STANDARD.encode(self.held.split_to(length)).into()
    }

    /// What is left when the body ends without trailers.
    pub fn end(&mut self) -> Bytes {
        STANDARD.encode(self.held.split()).into()
    }

    /// The end of a body with trailers: they become its last frame.
    pub fn trailers(&mut self, trailers: &HeaderMap) -> Bytes {
        let mut text = String::new();
        let mut raw = BytesMut::new();
        for (name, value) in trailers {
            text.clear();
            let _ = write!(text, "{name}:"); // memory: cannot fail
            raw.extend_from_slice(text.as_bytes());
            raw.extend_from_slice(value.as_bytes());
            raw.extend_from_slice(b"\r\n");
        }
        let mut frame = BytesMut::with_capacity(raw.len() + 5);
        frame.put_u8(0x80);
        frame.put_u32(u32::try_from(raw.len()).unwrap_or(u32::MAX));
        frame.extend_from_slice(&raw);
        if self.encoding == Encoding::Binary {
            return frame.freeze();
        }
        let rest = STANDARD.encode(self.held.split());
        (rest + &STANDARD.encode(frame)).into()
    }
}

#[cfg(test)]
mod tests;
