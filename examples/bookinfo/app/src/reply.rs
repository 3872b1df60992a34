//! What every service shares of a request and a reply: whole bodies, JSON and HTML. No sockets.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

pub(crate) type Asked = hyper::Request<Bytes>;
pub(crate) type Reply = Response<Full<Bytes>>;

pub(crate) fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}

pub(crate) fn json(status: StatusCode, value: &Value) -> Reply {
    with_type(status, "application/json", value.to_string())
}

pub(crate) fn html(body: String) -> Reply {
    with_type(StatusCode::OK, "text/html; charset=utf-8", body)
}

pub(crate) fn not_found() -> Reply {
    with_type(StatusCode::NOT_FOUND, "text/plain", "no such page\n")
}

/// `/details/0` with prefix `/details/` is `Ok(0)`; another page is `None`, another id the sample's 400.
pub(crate) fn product_id(path: &str, prefix: &str) -> Option<Result<u64, Reply>> {
    let id = path.strip_prefix(prefix)?;
    Some(id.parse().map_err(|_| {
        json(StatusCode::BAD_REQUEST, &serde_json::json!({"error": "please provide numeric product ID"}))
    }))
}
