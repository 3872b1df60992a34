//! Records as entries of Envoy's log service. Spec: `envoy.data.accesslog.v3`, `envoy.service.accesslog.v3`; Envoy:
//! `access_loggers/grpc/grpc_access_log_utils.cc`.
//!
//! Differs from Envoy: the TLS properties are the tunnel's, because behind its internal listener there are none.

mod state;

use super::pb::{core, log_data as data, log_stream as stream, protobuf};
use super::values;
use crate::failure::{ResponseFlag, ResponseFlags};
use crate::model::log_service::{EntryLog, LogService};
use crate::model::node::NodeInfo;
use crate::telemetry::format;
use crate::telemetry::record::{Protocol, RequestHead, RequestRecord, ResponseHead};
use http::{HeaderMap, HeaderName};
use prost::Message;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// `HTTPAccessLogEntry`, encoded.
#[must_use]
pub fn http(log: &EntryLog, record: &RequestRecord<'_>) -> Vec<u8> {
    use data::http_access_log_entry::HttpVersion;
    let version = match record.protocol {
        Protocol::Http10 => HttpVersion::Http10,
        Protocol::Http11 => HttpVersion::Http11,
        Protocol::Http2 => HttpVersion::Http2,
        Protocol::Tcp => HttpVersion::ProtocolUnspecified,
    };
    data::HttpAccessLogEntry {
        common_properties: Some(common(log, record)),
        protocol_version: version as i32,
        request: record.request.as_ref().map(|head| request(log, head, record)),
        response: Some(response(log, record)),
    }
    .encode_to_vec()
}

/// `TCPAccessLogEntry`, encoded.
#[must_use]
pub fn tcp(log: &EntryLog, record: &RequestRecord<'_>) -> Vec<u8> {
    let bytes =
        data::ConnectionProperties { received_bytes: record.bytes_received, sent_bytes: record.bytes_sent };
    data::TcpAccessLogEntry {
        common_properties: Some(common(log, record)),
        connection_properties: Some(bytes),
    }
    .encode_to_vec()
}

/// `StreamAccessLogsMessage`, of encoded entries: the first of its stream, so it says who we are.
#[must_use]
pub fn batch(service: &LogService, node: &NodeInfo, entries: Vec<Vec<u8>>, tcp: bool) -> Vec<u8> {
    let locality = core::Locality { zone: node.zone.clone(), ..Default::default() };
    let metadata = match values::proto(&node.metadata).kind {
        Some(protobuf::value::Kind::StructValue(fields)) => Some(fields),
        _ => None,
    };
    let node = core::Node {
        id: node.id.clone(),
        cluster: node.cluster.clone(),
        metadata,
        locality: Some(locality).filter(|locality| !locality.zone.is_empty()),
        ..Default::default()
    };
    let identifier = stream::stream_access_logs_message::Identifier {
        node: Some(node),
        log_name: service.log_name.to_string(),
    };
    let entries = Some(Entries { entries });
    let (http, tcp) = if tcp { (None, entries) } else { (entries, None) };
    Envelope { identifier: Some(identifier), http, tcp }.encode_to_vec()
}

/// `StreamAccessLogsMessage`, whose entries are bytes already: on the wire it is the same.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(message, optional, tag = "1")]
    identifier: Option<stream::stream_access_logs_message::Identifier>,
    #[prost(message, optional, tag = "2")]
    http: Option<Entries>,
    #[prost(message, optional, tag = "3")]
    tcp: Option<Entries>,
}

#[derive(Clone, PartialEq, Message)]
struct Entries {
    #[prost(bytes = "vec", repeated, tag = "1")]
    entries: Vec<Vec<u8>>,
}

fn common(log: &EntryLog, record: &RequestRecord<'_>) -> data::AccessLogCommon {
    let (upstream, downstream) = (&record.upstream, &record.downstream);
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let tag = |tag: &crate::model::tracing::CustomTag| {
        tag.text(|value, out| format::text(value, record, out)).map(|value| (tag.name.to_string(), value))
    };
    data::AccessLogCommon {
        downstream_remote_address: downstream.remote_address.map(socket),
        downstream_direct_remote_address: downstream.direct_remote_address.map(socket),
        downstream_local_address: downstream.local_address.map(socket),
        tls_properties: tls(record),
        start_time: timestamp(record.start),
        time_to_last_rx_byte: record.request_duration.and_then(duration),
        time_to_first_upstream_rx_byte: record.response_duration.and_then(duration),
        time_to_last_downstream_tx_byte: duration(record.duration),
        duration: duration(record.duration),
        upstream_remote_address: upstream.host.and_then(host),
        upstream_local_address: upstream.local_address.map(socket),
        upstream_cluster: text(upstream.cluster),
        upstream_request_attempt_count: upstream.attempts,
        upstream_transport_failure_reason: text(record.upstream_transport_failure),
        route_name: text(record.route_name),
        response_flags: Some(record.flags).filter(|flags| !flags.is_empty()).map(flags),
        metadata: Some(values::metadata_proto(record.metadata.filters.iter()))
            .filter(|all| !all.filter_metadata.is_empty()),
        filter_state_objects: state::objects(&log.filter_state, record),
        custom_tags: log.tags.iter().filter_map(tag).collect(),
        connection_termination_details: text(record.termination_details),
        stream_id: text(record.stream_id),
        access_log_type: kind(record) as i32,
        ..Default::default()
    }
}

fn kind(record: &RequestRecord<'_>) -> data::AccessLogType {
    match record.protocol {
        Protocol::Tcp => data::AccessLogType::TcpConnectionEnd,
        _ => data::AccessLogType::DownstreamEnd,
    }
}

fn tls(record: &RequestRecord<'_>) -> Option<data::TlsProperties> {
    use data::tls_properties::CertificateProperties;
    use data::tls_properties::certificate_properties::{SubjectAltName, subject_alt_name::San};
    let downstream = &record.downstream;
    let certificate = |uri: &str| CertificateProperties {
        subject_alt_name: vec![SubjectAltName { san: Some(San::Uri(uri.to_owned())) }],
        ..Default::default()
    };
    let peer = downstream.peer_principal?;
    Some(data::TlsProperties {
        tls_sni_hostname: downstream.requested_server_name.unwrap_or_default().to_owned(),
        peer_certificate_properties: Some(certificate(peer)),
        local_certificate_properties: downstream.local_principal.map(|uri| certificate(uri)),
        ..Default::default()
    })
}

fn request(
    log: &EntryLog,
    head: &RequestHead<'_>,
    record: &RequestRecord<'_>,
) -> data::HttpRequestProperties {
    let header = |name: &str| joined(head.headers, name).unwrap_or_default();
    data::HttpRequestProperties {
        request_method: core::RequestMethod::from_str_name(head.method).unwrap_or_default() as i32,
        scheme: head.scheme.to_owned(),
        authority: head.authority.to_owned(),
        path: head.path.to_owned(),
        user_agent: header("user-agent"),
        referer: header("referer"),
        forwarded_for: header("x-forwarded-for"),
        request_id: header("x-request-id"),
        original_path: header("x-envoy-original-path"),
        request_headers_bytes: head.bytes() as u64,
        request_body_bytes: record.bytes_received,
        request_headers: chosen(&log.request_headers, head.headers),
        ..Default::default()
    }
}

fn response(log: &EntryLog, record: &RequestRecord<'_>) -> data::HttpResponseProperties {
    let head = record.response.as_ref();
    let chosen = |names: &[HeaderName], headers: Option<&HeaderMap>| {
        headers.map(|headers| chosen(names, headers)).unwrap_or_default()
    };
    data::HttpResponseProperties {
        response_code: head.map(|head| protobuf::UInt32Value { value: head.status.into() }),
        response_code_details: record.details.unwrap_or_default().to_owned(),
        response_headers_bytes: head.map_or(0, ResponseHead::bytes) as u64,
        response_body_bytes: record.bytes_sent,
        response_headers: chosen(&log.response_headers, head.map(|head| head.headers)),
        response_trailers: chosen(&log.response_trailers, head.and_then(|head| head.trailers)),
        ..Default::default()
    }
}

fn chosen(names: &[HeaderName], headers: &HeaderMap) -> HashMap<String, String> {
    let pair = |name: &HeaderName| Some((name.as_str().to_owned(), joined(headers, name.as_str())?));
    names.iter().filter_map(pair).collect()
}

/// All values of a name; bytes that are no UTF-8 are replaced.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    Some(values.join(",")).filter(|_| !values.is_empty())
}

fn flags(flags: ResponseFlags) -> data::ResponseFlags {
    use data::response_flags::{Unauthorized, unauthorized::Reason};
    let has = |flag| flags.contains(flag);
    let denied = Unauthorized { reason: Reason::ExternalService as i32 };
    data::ResponseFlags {
        no_healthy_upstream: has(ResponseFlag::UH),
        upstream_request_timeout: has(ResponseFlag::UT),
        local_reset: has(ResponseFlag::LR),
        upstream_remote_reset: has(ResponseFlag::UR),
        upstream_connection_failure: has(ResponseFlag::UF),
        upstream_connection_termination: has(ResponseFlag::UC),
        upstream_overflow: has(ResponseFlag::UO),
        no_route_found: has(ResponseFlag::NR),
        delay_injected: has(ResponseFlag::DI),
        fault_injected: has(ResponseFlag::FI),
        rate_limited: has(ResponseFlag::RL),
        unauthorized_details: has(ResponseFlag::UAEX).then_some(denied),
        downstream_connection_termination: has(ResponseFlag::DC),
        upstream_retry_limit_exceeded: has(ResponseFlag::URX),
        stream_idle_timeout: has(ResponseFlag::SI),
        invalid_envoy_request_headers: has(ResponseFlag::IH),
        downstream_protocol_error: has(ResponseFlag::DPE),
        upstream_max_stream_duration_reached: has(ResponseFlag::UMSDR),
        duration_timeout: has(ResponseFlag::DT),
        upstream_protocol_error: has(ResponseFlag::UPE),
        no_cluster_found: has(ResponseFlag::NC),
        overload_manager: has(ResponseFlag::OM),
        dns_resolution_failure: has(ResponseFlag::DF),
        downstream_remote_reset: has(ResponseFlag::DR),
        ..Default::default()
    }
}

fn socket(address: SocketAddr) -> core::Address {
    use core::socket_address::PortSpecifier::PortValue;
    let socket = core::SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(PortValue(address.port().into())),
        ..Default::default()
    };
    core::Address { address: Some(core::address::Address::SocketAddress(socket)) }
}

/// `envoy://LISTENER/IP:PORT` of an HBONE endpoint, else a socket's.
fn host(label: &str) -> Option<core::Address> {
    use core::envoy_internal_address::AddressNameSpecifier::ServerListenerName;
    let Some(internal) = label.strip_prefix("envoy://") else { return label.parse().ok().map(socket) };
    let (listener, endpoint) = internal.split_once('/')?;
    let address = core::EnvoyInternalAddress {
        endpoint_id: endpoint.to_owned(),
        address_name_specifier: Some(ServerListenerName(listener.to_owned())),
    };
    Some(core::Address { address: Some(core::address::Address::EnvoyInternalAddress(address)) })
}

fn timestamp(time: SystemTime) -> Option<protobuf::Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(protobuf::Timestamp { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() as i32 })
}

fn duration(duration: Duration) -> Option<protobuf::Duration> {
    let seconds = i64::try_from(duration.as_secs()).ok()?;
    Some(protobuf::Duration { seconds, nanos: duration.subsec_nanos() as i32 })
}

#[cfg(test)]
mod tests;
