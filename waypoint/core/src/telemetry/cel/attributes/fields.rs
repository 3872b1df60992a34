//! The fields of each object, and their values in a record.

use super::{Headers, made, number, of_metadata, owned, string};
use crate::model::workload::Workload;
use crate::telemetry::format;
use crate::telemetry::peer;
use crate::telemetry::record::{Protocol, RequestRecord, header_bytes};
use cel::Value;
use cel::common::value::CowVal;
use std::net::SocketAddr;
use std::sync::Arc;

type Field<'a> = Option<CowVal<'a, 'a>>;

pub(super) const REQUEST: &[&str] = &[
    "path",
    "url_path",
    "host",
    "scheme",
    "method",
    "headers",
    "referer",
    "useragent",
    "time",
    "id",
    "protocol",
    "query",
    "duration",
    "size",
    "total_size",
];
pub(super) const RESPONSE: &[&str] =
    &["code", "code_details", "flags", "grpc_status", "headers", "trailers", "size", "total_size"];
pub(super) const CONNECTION: &[&str] = &[
    "mtls",
    "requested_server_name",
    "uri_san_local_certificate",
    "uri_san_peer_certificate",
    "termination_details",
];
pub(super) const CONNECTION_WITHOUT_VALUE: &[&str] = &[
    "id",
    "tls_version",
    "subject_local_certificate",
    "subject_peer_certificate",
    "dns_san_local_certificate",
    "dns_san_peer_certificate",
    "sha256_peer_certificate_digest",
    "transport_failure_reason",
];
pub(super) const PEER: &[&str] = &["address", "port"];
pub(super) const UPSTREAM: &[&str] =
    &["address", "port", "local_address", "transport_failure_reason", "request_attempt_count"];
pub(super) const UPSTREAM_WITHOUT_VALUE: &[&str] = &[
    "tls_version",
    "subject_local_certificate",
    "subject_peer_certificate",
    "dns_san_local_certificate",
    "dns_san_peer_certificate",
    "uri_san_local_certificate",
    "uri_san_peer_certificate",
    "sha256_peer_certificate_digest",
    "cx_pool_ready_duration",
    "locality",
    "num_endpoints",
];
pub(super) const XDS: &[&str] = &["node", "cluster_name", "route_name"];
pub(super) const XDS_WITHOUT_VALUE: &[&str] = &[
    "cluster_metadata",
    "route_metadata",
    "virtual_host_name",
    "virtual_host_metadata",
    "upstream_host_metadata",
    "upstream_host_locality_metadata",
    "filter_chain_name",
    "listener_metadata",
    "listener_direction",
];
pub(super) const NODE: &[&str] = &["id", "cluster", "metadata"];
pub(super) const NODE_WITHOUT_VALUE: &[&str] = &[
    "locality",
    "user_agent_name",
    "user_agent_version",
    "extensions",
    "client_features",
    "dynamic_parameters",
];
/// The objects `%FILTER_STATE%` of access logs knows.
pub(super) const FILTER_STATE: &[&str] = &[
    "io.istio.peer_principal",
    "io.istio.local_principal",
    "io.istio.connect_authority",
    "envoy.filters.listener.original_dst.local_ip",
    "envoy.filters.listener.original_dst.remote_ip",
    "downstream_peer",
    "downstream_peer_obj",
    "wasm.downstream_peer",
    "upstream_peer",
    "upstream_peer_obj",
    "wasm.upstream_peer",
];
pub(super) const WORKLOAD: &[&str] = &[
    "workload",
    "namespace",
    "cluster",
    "service",
    "app",
    "revision",
    "version",
    "name",
    "type",
    "identity",
];
/// Labels of pods do not come with WDS.
pub(super) const WORKLOAD_WITHOUT_VALUE: &[&str] = &["labels", "locality", "instance", "region", "zone"];

pub(super) fn request<'a>(name: &str, record: &'a RequestRecord<'a>) -> Field<'a> {
    match name {
        "time" => {
            let time: chrono::DateTime<chrono::Utc> = record.start.into();
            return owned(Value::Timestamp(time.fixed_offset()));
        }
        "duration" => return owned(Value::Duration(chrono::Duration::from_std(record.duration).ok()?)),
        "protocol" => return protocol(record).and_then(string),
        _ => {}
    }
    let request = record.request.as_ref()?;
    let (path, query) = request.path.split_once('?').unwrap_or((request.path, ""));
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    match name {
        "path" => string(request.path),
        "url_path" => string(path),
        "query" => made(query.to_owned()),
        "host" => string(request.authority),
        "scheme" => string(request.scheme),
        "method" => string(request.method),
        "headers" => Some(CowVal::owned(Headers {
            headers: request.headers,
            pseudo: [
                (":method", request.method),
                (":path", request.path),
                (":authority", request.authority),
                (":scheme", request.scheme),
            ],
        })),
        "referer" => header("referer").and_then(string),
        "useragent" => header("user-agent").and_then(string),
        "id" => header("x-request-id").and_then(string),
        "size" => {
            let declared = header("content-length").map(|length| length.parse().ok());
            number(declared.unwrap_or(Some(record.bytes_received))?)
        }
        "total_size" => number(record.bytes_received + request.bytes() as u64),
        _ => None,
    }
}

fn protocol(record: &RequestRecord<'_>) -> Option<&'static str> {
    match record.protocol {
        Protocol::Http10 => Some("HTTP/1.0"),
        Protocol::Http11 => Some("HTTP/1.1"),
        Protocol::Http2 => Some("HTTP/2"),
        Protocol::Tcp => None,
    }
}

pub(super) fn response<'a>(name: &str, record: &'a RequestRecord<'a>) -> Field<'a> {
    match name {
        "code_details" => return record.details.and_then(string),
        "flags" => return number(record.flags.envoy_bits()),
        "grpc_status" => return number(record.grpc_status?.into()),
        "size" => return number(record.bytes_sent),
        _ => {}
    }
    let response = record.response.as_ref()?;
    let headers = |headers| CowVal::owned(Headers { headers, pseudo: [("", ""); 4] });
    match name {
        "code" => number(response.status.into()),
        "headers" => Some(headers(response.headers)),
        "trailers" => response.trailers.map(headers),
        "total_size" => {
            let trailers = response.trailers.map_or(0, header_bytes);
            number(record.bytes_sent + (response.bytes() + trailers) as u64)
        }
        _ => None,
    }
}

pub(super) fn connection<'a>(name: &str, record: &'a RequestRecord<'a>) -> Field<'a> {
    let downstream = &record.downstream;
    match name {
        "mtls" => owned(Value::Bool(downstream.peer_principal.is_some())),
        "requested_server_name" => made(downstream.requested_server_name.unwrap_or_default().to_owned()),
        "uri_san_local_certificate" => downstream.local_principal.and_then(|san| string(san)),
        "uri_san_peer_certificate" => downstream.peer_principal.and_then(|san| string(san)),
        "termination_details" => record.termination_details.and_then(string),
        _ => None,
    }
}

pub(super) fn peer<'a>(name: &str, address: Option<SocketAddr>) -> Field<'a> {
    match name {
        "address" => made(address?.to_string()),
        "port" => number(address?.port().into()),
        _ => None,
    }
}

pub(super) fn upstream<'a>(name: &str, record: &'a RequestRecord<'a>) -> Field<'a> {
    let upstream = &record.upstream;
    match name {
        "address" => upstream.host.and_then(string),
        "port" => number(upstream.host?.rsplit_once(':')?.1.parse().ok()?),
        "local_address" => made(upstream.local_address?.to_string()),
        "transport_failure_reason" => record.upstream_transport_failure.and_then(string),
        "request_attempt_count" => number(upstream.attempts.into()),
        _ => None,
    }
}

pub(super) fn xds<'a>(name: &str, record: &'a RequestRecord<'a>) -> Field<'a> {
    match name {
        "node" => Some(CowVal::owned(super::Object { root: "node", record })),
        "cluster_name" => record.upstream.cluster.and_then(string),
        "route_name" => record.route_name.and_then(string),
        _ => None,
    }
}

pub(super) fn metadata<'a>(name: &str, record: &'a RequestRecord<'a>) -> Field<'a> {
    let filters = record.metadata.filters.iter();
    let fields = filters.map(|(filter, value)| (filter.to_string(), super::values::of_metadata(value)));
    (name == "filter_metadata").then(|| owned(super::values::map(fields)))?
}

/// As text, where Envoy has bytes that print alike. Peers are objects.
pub(super) fn filter_state<'a>(name: &str, record: &'a RequestRecord<'a>) -> Field<'a> {
    let root = match name {
        "downstream_peer" | "downstream_peer_obj" | "wasm.downstream_peer" => "downstream_peer",
        "upstream_peer" | "upstream_peer_obj" | "wasm.upstream_peer" => "upstream_peer",
        _ => {
            return match format::filter_state(name, None, record) {
                format::Evaluated::Text(text) => made(text.into_owned()),
                _ => None,
            };
        }
    };
    Some(CowVal::owned(super::Object { root, record }))
}

pub(super) fn node<'a>(name: &str, record: &'a RequestRecord<'a>) -> Field<'a> {
    match name {
        "id" => string(&record.node.id),
        "cluster" => string(&record.node.cluster),
        "metadata" => of_metadata(&record.node.metadata),
        _ => None,
    }
}

pub(super) fn workload<'a>(name: &str, workload: Option<&'a Arc<Workload>>) -> Field<'a> {
    peer::field(workload?, name).and_then(string)
}
