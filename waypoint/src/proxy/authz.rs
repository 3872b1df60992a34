//! Asking an authorization service: the check as a request of ours, its answer as a verdict.
//!
//! Whoever asks enforces the verdict. Every way not to get an answer is `Verdict::Error`, never permission.
//! Envoy: `GrpcClientImpl`, `RawHttpClientImpl` of `ext_authz`.

use super::call::{self, Call, Reply};
use super::connection::Connection;
use super::http::exchange::forward::Prepared;
use super::http::framing;
use crate::limits;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use waypoint_core::model::access_log::Format;
use waypoint_core::model::ext_authz::{AuthzPath, AuthzService, ExtAuthz, HttpAuthz};
use waypoint_core::model::metadata::DynamicMetadata;
use waypoint_core::policy::ext_authz::{self, Check, HttpCheck, PARTIAL_BODY, Peer, Verdict};
use waypoint_core::routing::headers;
use waypoint_core::store::Snapshot;
use waypoint_core::translate::check;

const CHECK_METHOD: PathAndQuery = PathAndQuery::from_static("/envoy.service.auth.v3.Authorization/Check");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Evaluates the formats of configured header values.
pub type Render<'a> = &'a mut dyn FnMut(&Format) -> Option<HeaderValue>;

/// Of a connection; a request adds itself.
#[must_use]
pub fn describe<'a>(connection: &'a Connection, metadata: &'a DynamicMetadata) -> Check<'a> {
    let tunnel = &connection.tunnel;
    let local = &connection.worker.process.local_principal;
    Check {
        source: Peer { address: tunnel.source, principal: tunnel.principal.as_deref() },
        destination: Peer { address: tunnel.destination(), principal: Some(local) },
        sni: tunnel.sni.as_deref(),
        metadata,
        context: &[],
        start: SystemTime::now(),
        request: None,
    }
}

/// The check as a request; `None` when it cannot be put into one.
#[must_use]
pub fn prepare(config: &ExtAuthz, check: &Check<'_>, render: Render<'_>) -> Option<Call> {
    match &config.service {
        AuthzService::Grpc { cluster, authority, metadata, max_response_bytes } => {
            let mut headers = HeaderMap::with_capacity(8);
            headers::apply(metadata, &mut headers, render);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(TE, HeaderValue::from_static("trailers"));
            if let Some(timeout) = config.timeout {
                headers.insert(GRPC_TIMEOUT, grpc_timeout(timeout));
            }
            let asked = max_response_bytes.map_or(usize::MAX, |max| max as usize);
            Some(Call {
                cluster: cluster.clone(),
                prepared: Prepared::new(Method::POST, CHECK_METHOD, authority.clone(), headers),
                body: grpc_message(&check::encode(config, check))?,
                always_http2: true,
                timeout: config.timeout,
                max_answer: asked.min(limits::AUTHZ_ANSWER_BYTES).saturating_add(GRPC_PREFIX),
            })
        }
        AuthzService::Http(service) => http_call(config, service, check.request.as_ref()?, render),
    }
}

fn http_call(
    config: &ExtAuthz,
    service: &HttpAuthz,
    request: &HttpCheck<'_>,
    render: Render<'_>,
) -> Option<Call> {
    let view = &request.view;
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in config.headers.of(view.headers) {
        headers.append(name, HeaderValue::from_bytes(&value).ok()?);
    }
    framing::strip_request(&mut headers, false);
    let body = request.body.map(|body| Bytes::copy_from_slice(body.bytes)).unwrap_or_default();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(body) = &request.body {
        headers.insert(PARTIAL_BODY, HeaderValue::from_static(if body.partial { "true" } else { "false" }));
    }
    headers::apply(&service.headers_to_add, &mut headers, render);
    let path = match &service.path {
        AuthzPath::Prefix(prefix) => format!("{prefix}{}", view.path.as_str()),
        AuthzPath::Override(path) => path.to_string(),
    };
    let method = Method::from_bytes(view.method.as_bytes()).ok()?;
    let host = HeaderValue::from_str(view.authority).ok()?;
    Some(Call {
        cluster: service.cluster.clone(),
        prepared: Prepared::new(method, PathAndQuery::try_from(path).ok()?, host, headers),
        body,
        always_http2: false,
        timeout: config.timeout,
        max_answer: limits::AUTHZ_ANSWER_BYTES,
    })
}

/// Asks, and reads the answer.
pub async fn ask(
    connection: &Connection,
    snapshot: &Arc<Snapshot>,
    config: &ExtAuthz,
    call: Option<Call>,
) -> Verdict {
    let Some(call) = call else { return Verdict::Error(None) };
    let cluster = call.cluster.clone();
    match call::call(&connection.worker, snapshot, call).await {
        Ok(reply) => match &config.service {
            AuthzService::Grpc { .. } => grpc_verdict(&reply),
            AuthzService::Http(service) => {
                let Reply { status, mut headers, body, .. } = reply;
                framing::strip_response(&mut headers, false);
                ext_authz::http_verdict(service, status, &headers, body)
            }
        },
        Err(error) => {
            tracing::debug!(cluster = &*cluster, %error, "authorization service");
            Verdict::Error(None)
        }
    }
}

/// Flag and length before each message.
const GRPC_PREFIX: usize = 5;

fn grpc_message(message: &[u8]) -> Option<Bytes> {
    let mut framed = BytesMut::with_capacity(GRPC_PREFIX + message.len());
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

fn grpc_verdict(reply: &Reply) -> Verdict {
    let maps = [reply.trailers.as_ref(), Some(&reply.headers)];
    let code = maps.into_iter().flatten().find_map(|map| map.get("grpc-status"));
    let succeeded = reply.status == StatusCode::OK && code.is_some_and(|code| code == "0");
    let message = match reply.body.split_at_checked(GRPC_PREFIX) {
        Some(([0, length @ ..], message)) if length == u32::to_be_bytes(message.len() as u32) => {
            Some(message)
        }
        _ => None,
    };
    match message.filter(|_| succeeded) {
        Some(message) => check::decode(message),
        None => Verdict::Error(None),
    }
}

#[cfg(test)]
mod tests;
