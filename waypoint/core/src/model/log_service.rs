//! Services that take access logs: what a record becomes, and where batches of them go.
//! Envoy: `extensions.access_loggers.{open_telemetry, grpc}.v3`.

use super::access_log::JsonField;
use super::tracing::{Collector, CustomTag};
use http::HeaderName;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct LogService {
    /// Records of equal hashes go in one batch.
    pub content_hash: u64,
    pub collector: Collector,
    pub log_name: Box<str>,
    /// A batch leaves when it is this long, or after a second. Envoy: 16 KiB.
    pub batch_bytes: usize,
    pub protocol: LogProtocol,
}

#[derive(Clone, Debug)]
pub enum LogProtocol {
    OpenTelemetry(OtelLog),
    Http(EntryLog),
    Tcp(EntryLog),
}

/// `LogRecord`s of OTLP.
#[derive(Clone, Debug)]
pub struct OtelLog {
    /// Protobuf over HTTP otherwise.
    pub grpc: bool,
    pub body: Option<JsonField>,
    pub attributes: Vec<(Box<str>, JsonField)>,
    /// Literal; of the batch.
    pub resource: Vec<(Box<str>, JsonField)>,
    /// `log_name`, `zone_name`, `cluster_name`, `node_name` are in the resource too.
    pub builtin_labels: bool,
    pub tags: Vec<CustomTag>,
}

/// Entries of `StreamAccessLogs`.
#[derive(Clone, Debug, Default)]
pub struct EntryLog {
    pub filter_state: Vec<Arc<str>>,
    pub tags: Vec<CustomTag>,
    /// Those besides the ones every entry has; of HTTP only.
    pub request_headers: Vec<HeaderName>,
    pub response_headers: Vec<HeaderName>,
    pub response_trailers: Vec<HeaderName>,
}
