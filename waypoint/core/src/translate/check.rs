//! A check as the gRPC service reads it, and its answer. Envoy: `service.auth.v3.{CheckRequest, CheckResponse}`.
//!
//! Here, because only `translate` sees protos; what the messages mean is `policy::ext_authz`.

use super::pb::{auth, core, protobuf};
use super::values;
use crate::model::ext_authz::ExtAuthz;
use crate::model::metadata::DynamicMetadata;
use crate::model::route::HeaderAppendAction;
use crate::policy::ext_authz::{
    Allowed, Answer, Check, HeaderChange, HttpCheck, PARTIAL_BODY, Peer, QueryChanges, Verdict,
};
use auth::attribute_context::{self as context, TlsSession};
use http::HeaderName;
use prost::Message as _;
use std::time::UNIX_EPOCH;

#[must_use]
pub fn encode(config: &ExtAuthz, check: &Check<'_>) -> Vec<u8> {
    let start = check.start.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = protobuf::Timestamp {
        seconds: start.as_secs().try_into().unwrap_or(i64::MAX),
        nanos: start.subsec_nanos().cast_signed(),
    };
    let attributes = auth::AttributeContext {
        source: Some(peer(&check.source)),
        destination: Some(peer(&check.destination)),
        request: check
            .request
            .as_ref()
            .map(|request| context::Request { time: Some(time), http: Some(http_request(config, request)) }),
        context_extensions: check
            .context
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        metadata_context: Some(metadata_context(config, check.metadata)),
        route_metadata_context: None,
        tls_session: check
            .sni
            .filter(|_| config.include_tls_session)
            .map(|sni| TlsSession { sni: sni.to_owned() }),
    };
    auth::CheckRequest { attributes: Some(attributes) }.encode_to_vec()
}

fn peer(peer: &Peer<'_>) -> context::Peer {
    use core::socket_address::PortSpecifier::PortValue;
    let socket = core::SocketAddress {
        address: peer.address.ip().to_string(),
        port_specifier: Some(PortValue(peer.address.port().into())),
        ..Default::default()
    };
    context::Peer {
        address: Some(core::Address { address: Some(core::address::Address::SocketAddress(socket)) }),
        principal: peer.principal.unwrap_or_default().to_owned(),
        ..Default::default()
    }
}

fn http_request(config: &ExtAuthz, request: &HttpCheck<'_>) -> context::HttpRequest {
    let view = &request.view;
    let id = view.headers.get("x-request-id").map(|id| sanitized(id.as_bytes()));
    let mut http = context::HttpRequest {
        id: id.unwrap_or_default(),
        method: view.method.to_owned(),
        path: view.path.as_str().to_owned(),
        host: view.authority.to_owned(),
        scheme: view.scheme.to_owned(),
        size: request.size.map_or(-1, |size| size.try_into().unwrap_or(i64::MAX)),
        protocol: request.protocol.to_owned(),
        ..Default::default()
    };
    let pseudo = config.headers.pseudo(view).map(|(name, value)| (name, value.as_bytes()));
    let mut list: Vec<(&str, Vec<u8>)> = pseudo.map(|(name, value)| (name, value.to_owned())).collect();
    let headers = config.headers.of(view.headers);
    list.extend(headers.map(|(name, value)| (name.as_str(), value.into_owned())));
    if let Some(body) = &request.body {
        list.push((PARTIAL_BODY, body.partial.to_string().into_bytes()));
        if body.pack_as_bytes {
            http.raw_body = body.bytes.to_owned();
        } else {
            http.body = sanitized(body.bytes);
        }
    }
    if config.headers.raw {
        let headers = list.into_iter().map(|(key, raw_value)| core::HeaderValue {
            key: key.to_owned(),
            raw_value,
            ..Default::default()
        });
        http.header_map = Some(core::HeaderMap { headers: headers.collect() });
    } else {
        http.headers = list.into_iter().map(|(key, value)| (key.to_owned(), sanitized(&value))).collect();
    }
    http
}

/// Envoy: each byte that is no UTF-8 becomes `!`.
fn sanitized(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '!'));
    }
    text
}

fn metadata_context(config: &ExtAuthz, metadata: &DynamicMetadata) -> core::Metadata {
    let wanted = metadata.filters.iter().filter(|(filter, _)| config.metadata_namespaces.contains(filter));
    values::metadata_proto(wanted)
}

/// What the service answered. Bytes that are no answer are an error of the service.
#[must_use]
pub fn decode(bytes: &[u8]) -> Verdict {
    let Ok(mut response) = auth::CheckResponse::decode(bytes) else { return Verdict::Error(None) };
    read(&mut response).unwrap_or(Verdict::Invalid)
}

/// `None`: it says something that cannot be done.
fn read(response: &mut auth::CheckResponse) -> Option<Verdict> {
    use auth::check_response::HttpResponse;
    let metadata = response.dynamic_metadata.take();
    let allowed = response.status.take().is_none_or(|status| status.code == 0);
    Some(match (allowed, response.http_response.take()) {
        (true, Some(HttpResponse::OkResponse(ok))) => Verdict::Allowed(Box::new(permission(ok, metadata)?)),
        (true, _) => Verdict::Allowed(Box::new(Allowed {
            metadata: metadata.map(values::structure),
            ..Allowed::default()
        })),
        (false, Some(HttpResponse::ErrorResponse(error))) => Verdict::Error(Some(answer(error, metadata)?)),
        (false, Some(HttpResponse::DeniedResponse(denied))) => Verdict::Denied(answer(denied, metadata)?),
        (false, _) => {
            Verdict::Denied(Answer { metadata: metadata.map(values::structure), ..Answer::default() })
        }
    })
}

fn permission(ok: auth::OkHttpResponse, metadata: Option<protobuf::Struct>) -> Option<Allowed> {
    // Pseudo-headers and Host stay whatever the service says, as in Envoy.
    let remove = ok.headers_to_remove.iter().filter(|name| !name.starts_with(':'));
    Some(Allowed {
        request: changes(ok.headers)?,
        remove: remove.map(|name| name.parse().ok()).collect::<Option<Vec<HeaderName>>>()?,
        response: changes(ok.response_headers_to_add)?,
        query: QueryChanges {
            set: ok.query_parameters_to_set.into_iter().map(|set| (set.key, set.value)).collect(),
            remove: ok.query_parameters_to_remove,
        },
        metadata: ok.dynamic_metadata.or(metadata).map(values::structure),
    })
}

fn answer(denied: auth::DeniedHttpResponse, metadata: Option<protobuf::Struct>) -> Option<Answer> {
    let code = denied.status.map_or(0, |status| status.code.cast_unsigned());
    Some(Answer {
        status: values::status(code).ok(),
        headers: changes(denied.headers)?,
        body: denied.body.into(),
        metadata: metadata.map(values::structure),
    })
}

fn changes(list: Vec<core::HeaderValueOption>) -> Option<Vec<HeaderChange>> {
    list.into_iter().map(change).collect()
}

/// Differs from Envoy: a pseudo-header or Host cannot be set, for the request was routed and judged by them.
fn change(option: core::HeaderValueOption) -> Option<HeaderChange> {
    use core::header_value_option::HeaderAppendAction as Action;
    let header = option.header?;
    let action = match (option.append, Action::try_from(option.append_action).ok()?) {
        (Some(append), _) if append.value => HeaderAppendAction::AppendIfExistsOrAdd,
        (Some(_), _) | (None, Action::OverwriteIfExistsOrAdd) => HeaderAppendAction::OverwriteIfExistsOrAdd,
        // Envoy: the default of the action, whatever the documentation says of an unset `append`.
        (None, Action::AppendIfExistsOrAdd) => HeaderAppendAction::AppendIfExistsOrAdd,
        (None, Action::AddIfAbsent) => HeaderAppendAction::AddIfAbsent,
        (None, Action::OverwriteIfExists) => HeaderAppendAction::OverwriteIfExists,
    };
    let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
    let name: HeaderName = header.key.parse().ok().filter(|name| *name != http::header::HOST)?;
    Some(HeaderChange { name, value: http::HeaderValue::from_bytes(value).ok()?, action })
}

#[cfg(test)]
mod tests;
