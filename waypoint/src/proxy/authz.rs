//! Asking an authorization service: the check as a request of ours, its answer as a verdict.
//!
//! Whoever asks enforces the verdict. Every way not to get an answer is `Verdict::Error`, never permission.
//! Envoy: `GrpcClientImpl`, `RawHttpClientImpl` of `ext_authz`.

use super::call::grpc::{self, Unary};
use super::call::{self, Call, Render, Reply};
use super::connection::Connection;
use super::http::exchange::forward::Prepared;
use super::http::framing;
use crate::limits;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use std::sync::Arc;
use std::time::SystemTime;
use waypoint_core::model::ext_authz::{AuthzPath, AuthzService, ExtAuthz, HttpAuthz};
use waypoint_core::model::metadata::DynamicMetadata;
use waypoint_core::policy::ext_authz::{self, Check, HttpCheck, PARTIAL_BODY, Peer, Verdict};
use waypoint_core::routing::headers;
use waypoint_core::store::Snapshot;
use waypoint_core::translate::check;

const CHECK_METHOD: PathAndQuery = PathAndQuery::from_static("/envoy.service.auth.v3.Authorization/Check");

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
        AuthzService::Grpc(target) => {
            let message = check::encode(config, check);
            let unary = Unary {
                target,
                method: CHECK_METHOD,
                message: &message,
                timeout: config.timeout,
                max_answer: limits::AUTHZ_ANSWER_BYTES,
            };
            unary.prepare(render)
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
            AuthzService::Grpc(_) => grpc_verdict(&reply),
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

fn grpc_verdict(reply: &Reply) -> Verdict {
    grpc::message(reply).map_or(Verdict::Error(None), check::decode)
}

#[cfg(test)]
mod tests;
