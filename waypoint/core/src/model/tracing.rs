//! Traces: which requests get a span, how its context travels, and where spans go.
//! Envoy: `HttpConnectionManager.Tracing`, `config.trace.v3.{ZipkinConfig, OpenTelemetryConfig}`.

use super::access_log::Format;
use super::route::{ClusterName, Fraction};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Tracing {
    /// Spans of equal hashes go in one batch.
    pub content_hash: u64,
    pub provider: TracingProvider,
    pub sampling: Sampling,
    /// False: contexts are read but not passed on.
    pub propagate: bool,
    /// Longer paths are cut in `http.url`. Envoy: 256.
    pub max_path_length: usize,
    pub tags: Vec<CustomTag>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    /// Of requests with `x-client-trace-id`.
    pub client: Fraction,
    /// Of all others.
    pub random: Fraction,
    /// Of what the two chose.
    pub overall: Fraction,
}

#[derive(Clone, Debug)]
pub enum TracingProvider {
    /// B3 headers, JSON over HTTP.
    Zipkin(Zipkin),
    /// `traceparent`, OTLP.
    OpenTelemetry(OpenTelemetry),
}

#[derive(Clone, Debug)]
pub struct Zipkin {
    pub collector: Collector,
    pub trace_id_128bit: bool,
    /// A client's span is continued under its own id rather than as a child.
    pub shared_span_context: bool,
    /// `traceparent` is read where there is no B3, and written beside it.
    pub w3c: bool,
}

#[derive(Clone, Debug)]
pub struct OpenTelemetry {
    pub collector: Collector,
    pub grpc: bool,
    pub service_name: Arc<str>,
}

/// Where spans are posted.
#[derive(Clone, Debug)]
pub struct Collector {
    pub cluster: ClusterName,
    pub authority: HeaderValue,
    pub path: Arc<str>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug)]
pub struct CustomTag {
    pub name: Arc<str>,
    pub value: Arc<Format>,
    /// In place of a value that is missing; empty leaves the tag out.
    pub default: Arc<str>,
}

impl TracingProvider {
    #[must_use]
    pub const fn collector(&self) -> &Collector {
        match self {
            Self::Zipkin(zipkin) => &zipkin.collector,
            Self::OpenTelemetry(otel) => &otel.collector,
        }
    }
}

impl CustomTag {
    /// The value, given how a format is written; `None` leaves the tag out.
    pub fn text(&self, write: impl FnOnce(&Format, &mut String)) -> Option<String> {
        let mut value = String::new();
        write(&self.value, &mut value);
        if value == "-" || value.is_empty() {
            value = self.default.to_string();
        }
        Some(value).filter(|value| !value.is_empty())
    }
}
