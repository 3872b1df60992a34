//! A call with one message each way, and what of the answer may be believed.
//! Spec: gRPC over HTTP/2.

use super::{Call, Render, Reply};
use crate::proxy::http::exchange::forward::Prepared;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::time::Duration;
use waypoint_core::model::grpc_service::GrpcTarget;
use waypoint_core::routing::headers;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Flag and length before each message.
const PREFIX: usize = 5;

pub struct Unary<'a> {
    pub target: &'a GrpcTarget,
    pub method: PathAndQuery,
    pub message: &'a [u8],
    pub timeout: Option<Duration>,
    /// Bytes of a longer answer are an error; the target may want fewer.
    pub max_answer: usize,
}

impl Unary<'_> {
    /// `None` when it cannot be put into a request.
    #[must_use]
    pub fn prepare(self, render: Render<'_>) -> Option<Call> {
        let GrpcTarget { cluster, authority, metadata, max_response_bytes } = self.target;
        let mut headers = HeaderMap::with_capacity(8);
        headers::apply(metadata, &mut headers, render);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if let Some(timeout) = self.timeout {
            headers.insert(GRPC_TIMEOUT, grpc_timeout(timeout));
        }
        let asked = max_response_bytes.map_or(usize::MAX, |max| max as usize);
        Some(Call {
            cluster: cluster.clone(),
            prepared: Prepared::new(Method::POST, self.method, authority.clone(), headers),
            body: framed(self.message)?,
            always_http2: true,
            timeout: self.timeout,
            max_answer: asked.min(self.max_answer).saturating_add(PREFIX),
        })
    }
}

/// `None`: longer than a message can be.
#[must_use]
pub fn framed(message: &[u8]) -> Option<Bytes> {
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0); // not compressed
    framed.put_u32(u32::try_from(message.len()).ok()?);
    framed.put_slice(message);
    Some(framed.freeze())
}

/// At most eight digits, so the unit grows with the value.
fn grpc_timeout(timeout: Duration) -> HeaderValue {
    let (value, unit) = match timeout.as_millis() {
        millis @ 0..=99_999_999 => (millis, 'm'),
        millis => ((millis / 1000).min(99_999_999), 'S'),
    };
    HeaderValue::try_from(format!("{value}{unit}")).unwrap_or_else(|_| HeaderValue::from_static("99999999S"))
}

/// The message of a whole answer that says it is a success.
#[must_use]
pub fn message(reply: &Reply) -> Option<&[u8]> {
    let maps = [reply.trailers.as_ref(), Some(&reply.headers)];
    let code = maps.into_iter().flatten().find_map(|map| map.get("grpc-status"));
    let succeeded = reply.status == StatusCode::OK && code.is_some_and(|code| code == "0");
    match reply.body.split_at_checked(PREFIX) {
        Some(([0, length @ ..], message))
            if succeeded && length == u32::to_be_bytes(message.len() as u32) =>
        {
            Some(message)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
