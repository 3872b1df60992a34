//! Responses we make ourselves, and what every response carries. Envoy: `sendLocalReply`, `mutateResponseHeaders`.

use super::session::ResponseHead;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, SERVER};
use http::{HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};
use waypoint_core::failure::{Failure, GrpcStatus};
use waypoint_core::policy::ext_authz::{self, Answer};

pub const DECORATOR: HeaderName = HeaderName::from_static("x-envoy-decorator-operation");
pub const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
pub const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// What gRPC wants percent-encoded in its message.
const NOT_IN_MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// A refusal as head and body; gRPC clients get theirs as trailers-only.
#[must_use]
pub fn of(failure: &Failure, grpc: bool) -> (ResponseHead, Bytes) {
    if grpc || failure.grpc_status.is_some() {
        return (grpc_head(failure), Bytes::new());
    }
    let mut head = ResponseHead::new(failure.status);
    let body = Bytes::copy_from_slice(failure.body.as_bytes());
    if !body.is_empty() {
        head.set(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    frame(&mut head, body.len());
    (head, body)
}

/// A refusal in the words of an authorization service: its headers and body, framed by us.
#[must_use]
pub fn denied(failure: &Failure, answer: &Answer, grpc: bool) -> (ResponseHead, Bytes) {
    let mut head = ResponseHead::new(failure.status);
    ext_authz::replace(&answer.headers, &mut head.headers);
    if grpc {
        let message = String::from_utf8_lossy(&answer.body).into_owned();
        let trailers_only = grpc_head(&Failure { body: message.into(), ..failure.clone() });
        head.status = trailers_only.status;
        head.headers.extend(trailers_only.headers);
        return (head, Bytes::new());
    }
    if !answer.body.is_empty() && !head.headers.contains_key(CONTENT_TYPE) {
        head.set(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    frame(&mut head, answer.body.len());
    (head, answer.body.clone())
}

/// A redirect's or direct response's head; the body as it is sent. Envoy: gRPC clients get a status of theirs for any.
pub fn direct(head: &mut ResponseHead, body: Bytes, grpc: bool) -> Bytes {
    if grpc {
        let body = String::from_utf8_lossy(&body).into_owned();
        let trailers_only =
            grpc_head(&Failure { status: head.status, body: body.into(), ..Failure::route_not_found() });
        head.status = trailers_only.status;
        head.headers.extend(trailers_only.headers);
        return Bytes::new();
    }
    if !body.is_empty() {
        head.set(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    frame(head, body.len());
    body
}

fn grpc_head(failure: &Failure) -> ResponseHead {
    let GrpcStatus(status) = failure.grpc_status.unwrap_or_else(|| GrpcStatus::from_http(failure.status));
    let mut head = ResponseHead::new(StatusCode::OK);
    head.set(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head.set(GRPC_STATUS, HeaderValue::from(status));
    let message = utf8_percent_encode(&failure.body, NOT_IN_MESSAGE).to_string();
    if let Ok(message) = HeaderValue::try_from(message)
        && !message.is_empty()
    {
        head.set(GRPC_MESSAGE, message);
    }
    head
}

pub fn frame(head: &mut ResponseHead, length: usize) {
    // Without a body HTTP/1 says so itself where it must, and HTTP/2 need not.
    if length > 0 && !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        head.set(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// `server` and `date`. Envoy: the upstream's date is kept.
pub fn stamp(head: &mut ResponseHead, server: Option<&HeaderValue>) {
    if let Some(server) = server {
        head.set(SERVER, server.clone());
    }
    if !head.headers.contains_key(DATE) {
        head.set(DATE, date());
    }
}

/// Formatted once per second and thread.
fn date() -> HeaderValue {
    thread_local!(static CACHED: RefCell<(u64, Option<HeaderValue>)> = const { RefCell::new((0, None)) });
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    CACHED.with_borrow_mut(|(known, value)| match value {
        Some(value) if *known == second => value.clone(),
        _ => {
            let text =
                chrono::DateTime::<chrono::Utc>::from(now).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
            let fresh = HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""));
            *known = second;
            *value = Some(fresh.clone());
            fresh
        }
    })
}

#[cfg(test)]
mod tests;
