//! What handlers get and give.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use http_body_util::Full;

/// What a handler sees of a request.
#[derive(Debug, Clone)]
pub struct AdminRequest {
    /// `GET`, `HEAD` or `POST`.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Request headers (`Accept`).
    pub headers: HeaderMap,
    /// Whole body, bounded.
    pub body: Bytes,
}

/// What a handler answers.
pub type AdminResponse = Response<Full<Bytes>>;

impl AdminRequest {
    /// A query parameter's first value, decoded; empty for a parameter without a value.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        self.queries().into_iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// All query parameters in order, decoded.
    #[must_use]
    pub fn queries(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
    }
}

/// A text answer.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> AdminResponse {
    answer(status, "text/plain; charset=utf-8", body.into())
}

/// A JSON answer, 200.
#[must_use]
pub fn json(value: &serde_json::Value) -> AdminResponse {
    answer(StatusCode::OK, "application/json", format!("{value:#}").into())
}

pub(super) fn answer(status: StatusCode, content_type: &str, body: Bytes) -> AdminResponse {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    if let Ok(content_type) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    // What a browser shows here must not be taken for a page of scripts.
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// Lists what there is: the reader is a person with curl.
pub(super) fn not_found<'a>(paths: impl Iterator<Item = &'a String>) -> AdminResponse {
    let paths: Vec<_> = paths.map(String::as_str).collect();
    text(StatusCode::NOT_FOUND, format!("no such path; there are:\n{}\n", paths.join("\n")))
}

pub(super) fn method_not_allowed<'a>(methods: impl Iterator<Item = &'a Method>) -> AdminResponse {
    let allowed = methods.map(Method::as_str).collect::<Vec<_>>().join(", ");
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}\n"));
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}
