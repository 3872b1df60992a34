//! Spans: what a trace says about one request, and the bytes collectors take. Sending is the IO's.
//! Envoy: `Tracing::HttpTracerUtility::finalizeDownstreamSpan`.

pub mod otlp;
pub mod zipkin;

use super::format;
use super::record::{Protocol, RequestRecord};
use crate::model::tracing::Tracing;
use crate::routing::trace_context::TraceContext;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// One finished request of a sampled trace.
#[derive(Clone, Debug)]
pub struct Span {
    pub context: TraceContext,
    pub name: String,
    pub start: SystemTime,
    pub duration: Duration,
    /// Where the client wanted to go.
    pub local: Option<SocketAddr>,
    pub tags: Vec<(Cow<'static, str>, String)>,
    pub error: bool,
}

/// `operation`: the route's decorator. Envoy: else the operation is `ingress`.
#[must_use]
pub fn span(
    tracing: &Tracing,
    context: TraceContext,
    operation: Option<&str>,
    record: &RequestRecord<'_>,
) -> Span {
    let status = record.response.map_or(0, |response| response.status);
    let error = status >= 500 || record.response.is_none();
    let mut span = Span {
        context,
        name: operation.unwrap_or("ingress").to_owned(),
        start: record.start,
        duration: record.duration,
        local: record.downstream.local_address,
        tags: Vec::with_capacity(24 + tracing.tags.len()),
        error,
    };
    span.tag("component", "proxy");
    span.tag("node_id", record.hostname);
    span.of_request(record, tracing.max_path_length);
    span.of_response(record, status);
    for custom in &tracing.tags {
        if let Some(value) = custom.text(|value, out| format::text(value, record, out)) {
            span.tags.push((Cow::Owned(custom.name.to_string()), value));
        }
    }
    if error {
        span.tag("error", "true");
    }
    span
}

impl Span {
    fn tag(&mut self, name: &'static str, value: impl Into<String>) {
        self.tags.push((Cow::Borrowed(name), value.into()));
    }

    fn of_request(&mut self, record: &RequestRecord<'_>, max_path: usize) {
        let protocol = match record.protocol {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
            Protocol::Tcp => "TCP",
        };
        let Some(request) = &record.request else { return };
        let header =
            |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
        let cut = request.path.char_indices().nth(max_path).map_or(request.path.len(), |(at, _)| at);
        self.tag("guid:x-request-id", header("x-request-id"));
        self.tag("http.url", format!("{}://{}{}", request.scheme, request.authority, &request.path[..cut]));
        self.tag("http.method", request.method);
        self.tag("downstream_cluster", header("x-envoy-downstream-service-cluster"));
        self.tag("user_agent", header("user-agent"));
        self.tag("http.protocol", protocol);
        if let Some(peer) = record.downstream.direct_remote_address {
            self.tag("peer.address", peer.ip().to_string());
        }
        self.tag("request_size", record.bytes_received.to_string());
    }

    fn of_response(&mut self, record: &RequestRecord<'_>, status: u16) {
        self.tag("http.status_code", status.to_string());
        self.tag("response_size", record.bytes_sent.to_string());
        self.tag("response_flags", record.flags.to_string());
        if let Some(status) = record.grpc_status {
            self.tag("grpc.status_code", status.to_string());
        }
        if let Some(cluster) = record.upstream.cluster {
            self.tag("upstream_cluster", cluster);
        }
        if let Some(cluster) = record.upstream.observable_cluster {
            self.tag("upstream_cluster.name", cluster);
        }
    }
}

/// Since the epoch.
fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Whose spans these are.
#[derive(Clone, Debug)]
pub struct Service {
    /// `node.cluster`: `<service account>.<namespace>`.
    pub name: Arc<str>,
}

#[cfg(test)]
mod tests;
