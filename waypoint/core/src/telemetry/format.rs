//! Evaluates parsed formats over a [`RequestRecord`]. A missing value prints as `-` in text and is null in JSON.
//! Envoy: `source/common/formatter/`.

use super::record::{Protocol, RequestRecord};
use super::{cel, peer};
use crate::model::access_log::{Format, JsonField, LogHeader, Operator, Segment};
use crate::model::metadata::MetadataValue;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// What an operator yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Evaluated<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Tree(&'a MetadataValue),
    Missing,
}

/// Appends the line a format makes.
pub fn text(format: &Format, record: &RequestRecord<'_>, out: &mut String) {
    line(format, record, "-", out);
}

fn line(format: &Format, record: &RequestRecord<'_>, missing: &str, out: &mut String) {
    for segment in &format.segments {
        match segment {
            Segment::Literal(literal) => out.push_str(literal),
            Segment::Operator { operator, truncate } => {
                let start = out.len();
                push(&evaluate(operator, record), missing, out);
                if let Some(length) = truncate {
                    cut(out, start, *length);
                }
            }
        }
    }
}

/// A header value: what is missing is left out, where a log line has `-`.
#[must_use]
pub fn header(format: &Format, record: &RequestRecord<'_>) -> String {
    let mut out = String::new();
    line(format, record, "", &mut out);
    out
}

fn push(value: &Evaluated<'_>, missing: &str, out: &mut String) {
    match value {
        Evaluated::Text(text) => out.push_str(text),
        Evaluated::Number(number) => {
            let _ = write!(out, "{number}"); // writing to a String cannot fail
        }
        Evaluated::Tree(tree) => match tree {
            MetadataValue::String(text) => out.push_str(text),
            other => out.push_str(&json_of(other).to_string()),
        },
        Evaluated::Missing => out.push_str(missing),
    }
}

/// `:N` counts bytes in Envoy; a character is never cut in two here.
fn cut(out: &mut String, start: usize, length: usize) {
    let mut end = start.saturating_add(length);
    if end < out.len() {
        while !out.is_char_boundary(end) {
            end -= 1;
        }
        out.truncate(end);
    }
}

/// The object a JSON format makes; a value of one operator keeps its type.
#[must_use]
pub fn json(fields: &[(Box<str>, JsonField)], omit_empty: bool, record: &RequestRecord<'_>) -> Value {
    let mut object = Map::with_capacity(fields.len());
    for (name, field) in fields {
        let value = json_field(field, omit_empty, record);
        if !(omit_empty && value.is_null()) {
            object.insert(name.to_string(), value);
        }
    }
    Value::Object(object)
}

fn json_field(field: &JsonField, omit_empty: bool, record: &RequestRecord<'_>) -> Value {
    match field {
        JsonField::Object(fields) => json(fields, omit_empty, record),
        JsonField::List(items) => items.iter().map(|item| json_field(item, omit_empty, record)).collect(),
        JsonField::Value(format) => match format.segments.as_slice() {
            [Segment::Operator { operator, truncate: None }] => match evaluate(operator, record) {
                Evaluated::Text(text) => Value::String(text.into_owned()),
                Evaluated::Number(number) => Value::Number(number.into()),
                Evaluated::Tree(tree) => json_of(tree),
                Evaluated::Missing => Value::Null,
            },
            _ => {
                let mut out = String::new();
                text(format, record, &mut out);
                Value::String(out)
            }
        },
    }
}

fn json_of(value: &MetadataValue) -> Value {
    match value {
        MetadataValue::Null => Value::Null,
        MetadataValue::Bool(value) => Value::Bool(*value),
        MetadataValue::Number(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
        MetadataValue::String(text) => Value::String(text.to_string()),
        MetadataValue::List(items) => items.iter().map(json_of).collect(),
        MetadataValue::Struct(fields) => {
            fields.iter().map(|(key, value)| (key.to_string(), json_of(value))).collect()
        }
    }
}

/// The value of one operator.
#[must_use]
pub fn evaluate<'a>(operator: &'a Operator, record: &'a RequestRecord<'_>) -> Evaluated<'a> {
    match operator {
        Operator::StartTime(pattern) => Evaluated::Text(start_time(pattern.as_deref(), record).into()),
        Operator::Request { .. }
        | Operator::RequestWithoutQuery { .. }
        | Operator::Response { .. }
        | Operator::Trailer { .. } => headers(operator, record),
        Operator::Protocol => protocol(record),
        Operator::ResponseCode => {
            Evaluated::Number(record.response.map_or(0, |response| response.status.into()))
        }
        Operator::ResponseCodeDetails => maybe(record.details),
        Operator::ResponseFlags => Evaluated::Text(record.flags.to_string().into()),
        Operator::ConnectionTerminationDetails => maybe(record.termination_details),
        Operator::UpstreamTransportFailureReason => maybe(record.upstream_transport_failure),
        Operator::BytesReceived => Evaluated::Number(record.bytes_received),
        Operator::BytesSent => Evaluated::Number(record.bytes_sent),
        Operator::Duration => millis(Some(record.duration)),
        Operator::RequestDuration => millis(record.request_duration),
        Operator::ResponseDuration => millis(record.response_duration),
        Operator::ResponseTxDuration => millis(record.response_tx_duration),
        Operator::RouteName => maybe(record.route_name),
        Operator::GrpcStatus => {
            record.grpc_status.map_or(Evaluated::Missing, |code| Evaluated::Text(grpc_name(code)))
        }
        Operator::GrpcStatusNumber => {
            record.grpc_status.map_or(Evaluated::Missing, |code| Evaluated::Number(code.into()))
        }
        Operator::Hostname => maybe(Some(record.hostname)),
        Operator::StreamId => maybe(record.stream_id),
        Operator::TraceId => maybe(record.trace_id),
        // Constant since the process began, so reading it here is no IO.
        Operator::Environment(name) => {
            std::env::var(&**name).map_or(Evaluated::Missing, |value| Evaluated::Text(value.into()))
        }
        Operator::Expression(expression) => {
            cel::text(expression, record).map_or(Evaluated::Missing, |text| Evaluated::Text(text.into()))
        }
        Operator::DynamicMetadata { filter, path } => {
            record.metadata.value(filter, path).map_or(Evaluated::Missing, Evaluated::Tree)
        }
        // Of a cluster only `istio.services` is kept, which labels have already.
        Operator::ClusterMetadata { .. } | Operator::Unavailable(_) => Evaluated::Missing,
        Operator::FilterState { key, field } => filter_state(key, field.as_deref(), record),
        other => endpoints(other, record),
    }
}

/// Operators about the two ends of the connection.
fn endpoints<'a>(operator: &'a Operator, record: &'a RequestRecord<'_>) -> Evaluated<'a> {
    let (upstream, downstream) = (&record.upstream, &record.downstream);
    match operator {
        Operator::UpstreamHost => maybe(upstream.host),
        Operator::UpstreamCluster { raw: true } => maybe(upstream.cluster),
        Operator::UpstreamCluster { raw: false } => maybe(upstream.observable_cluster),
        Operator::UpstreamLocalAddress => address(upstream.local_address, true),
        Operator::UpstreamRemoteAddress => address(upstream.remote_address, true),
        Operator::UpstreamRequestAttemptCount => Evaluated::Number(upstream.attempts.into()),
        Operator::DownstreamLocalAddress => address(downstream.local_address, true),
        Operator::DownstreamRemoteAddress { port } => address(downstream.remote_address, *port),
        Operator::DownstreamDirectRemoteAddress { port } => address(downstream.direct_remote_address, *port),
        Operator::DownstreamPeerUriSan => maybe(downstream.peer_principal.map(|san| &**san)),
        Operator::DownstreamLocalUriSan => maybe(downstream.local_principal.map(|san| &**san)),
        Operator::RequestedServerName => maybe(downstream.requested_server_name),
        _ => Evaluated::Missing,
    }
}

fn maybe(text: Option<&str>) -> Evaluated<'_> {
    text.filter(|text| !text.is_empty()).map_or(Evaluated::Missing, |text| Evaluated::Text(text.into()))
}

fn millis(duration: Option<Duration>) -> Evaluated<'static> {
    duration.map_or(Evaluated::Missing, |duration| {
        Evaluated::Number(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    })
}

fn address(address: Option<SocketAddr>, port: bool) -> Evaluated<'static> {
    match address {
        Some(address) if port => Evaluated::Text(address.to_string().into()),
        Some(address) => Evaluated::Text(address.ip().to_string().into()),
        None => Evaluated::Missing,
    }
}

/// Envoy's default is `%Y-%m-%dT%H:%M:%E3SZ`.
fn start_time(pattern: Option<&str>, record: &RequestRecord<'_>) -> String {
    let time: DateTime<Utc> = record.start.into();
    time.format(pattern.unwrap_or("%Y-%m-%dT%H:%M:%S%.3fZ")).to_string()
}

fn protocol(record: &RequestRecord<'_>) -> Evaluated<'static> {
    match record.protocol {
        Protocol::Http10 => Evaluated::Text("HTTP/1.0".into()),
        Protocol::Http11 => Evaluated::Text("HTTP/1.1".into()),
        Protocol::Http2 => Evaluated::Text("HTTP/2".into()),
        Protocol::Tcp => Evaluated::Missing,
    }
}

fn headers<'a>(operator: &'a Operator, record: &'a RequestRecord<'_>) -> Evaluated<'a> {
    let (Operator::Request { name, alternative }
    | Operator::RequestWithoutQuery { name, alternative }
    | Operator::Response { name, alternative }
    | Operator::Trailer { name, alternative }) = operator
    else {
        return Evaluated::Missing;
    };
    let find = |name: &'a LogHeader| match operator {
        Operator::Response { .. } => response_header(name, record),
        Operator::Trailer { .. } => {
            let trailers = record.response.and_then(|response| response.trailers);
            trailers.and_then(|trailers| named(name, trailers))
        }
        _ => request_header(name, record),
    };
    let found = find(name).or_else(|| alternative.as_ref().and_then(find));
    let without_query = matches!(operator, Operator::RequestWithoutQuery { .. });
    match found {
        Some(Cow::Borrowed(text)) if without_query => {
            Evaluated::Text(text.split('?').next().unwrap_or_default().into())
        }
        Some(text) => Evaluated::Text(text),
        None => Evaluated::Missing,
    }
}

fn request_header<'a>(name: &LogHeader, record: &'a RequestRecord<'_>) -> Option<Cow<'a, str>> {
    let request = record.request.as_ref()?;
    let text = match name {
        LogHeader::Method => request.method,
        LogHeader::Path => request.path,
        LogHeader::Authority => request.authority,
        LogHeader::Scheme => request.scheme,
        LogHeader::Status => return None,
        LogHeader::Name(_) => return named(name, request.headers),
    };
    Some(Cow::Borrowed(text)).filter(|text| !text.is_empty())
}

fn response_header<'a>(name: &LogHeader, record: &'a RequestRecord<'_>) -> Option<Cow<'a, str>> {
    let response = record.response.as_ref()?;
    match name {
        LogHeader::Status => Some(response.status.to_string().into()),
        _ => named(name, response.headers),
    }
}

/// Envoy prints the first value; bytes that are no UTF-8 are replaced.
fn named<'a>(name: &LogHeader, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    let LogHeader::Name(name) = name else { return None };
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
}

pub(crate) fn filter_state<'a>(
    key: &str,
    field: Option<&str>,
    record: &'a RequestRecord<'_>,
) -> Evaluated<'a> {
    let (upstream, downstream) = (&record.upstream, &record.downstream);
    let peer =
        |workload: Option<&'a std::sync::Arc<crate::model::workload::Workload>>| match (workload, field) {
            (Some(workload), Some(field)) => maybe(peer::field(workload, field)),
            (Some(workload), None) => Evaluated::Text(workload.uid.to_string().into()),
            (None, _) => Evaluated::Missing,
        };
    match key {
        "io.istio.peer_principal" => maybe(downstream.peer_principal.map(|san| &**san)),
        "io.istio.local_principal" => maybe(downstream.local_principal.map(|san| &**san)),
        "envoy.filters.listener.original_dst.local_ip" | "io.istio.connect_authority" => {
            address(downstream.local_address, true)
        }
        "envoy.filters.listener.original_dst.remote_ip" => address(downstream.direct_remote_address, true),
        "downstream_peer" | "downstream_peer_obj" | "wasm.downstream_peer" => peer(downstream.workload),
        "upstream_peer" | "upstream_peer_obj" | "wasm.upstream_peer" => peer(upstream.workload),
        _ => Evaluated::Missing,
    }
}

/// The names `%GRPC_STATUS%` prints; an unknown code prints as its number.
fn grpc_name(code: u32) -> Cow<'static, str> {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    NAMES.get(code as usize).map_or_else(|| code.to_string().into(), |name| (*name).into())
}

#[cfg(test)]
mod tests;
