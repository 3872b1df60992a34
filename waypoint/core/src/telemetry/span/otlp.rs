//! Spans as OTLP. Spec: `opentelemetry/proto/collector/trace/v1/trace_service.proto` and what it imports; only the
//! fields we fill.

use super::{Service, Span, since_epoch};
use crate::telemetry::otlp::{KeyValue, Resource, attribute};
use prost::Message;

const SERVER: i32 = 2;
const STATUS_ERROR: i32 = 2;

/// `ExportTraceServiceRequest`, encoded.
#[must_use]
pub fn batch(spans: &[Span], service: &Service) -> Vec<u8> {
    let attributes = vec![attribute("service.name", &service.name)];
    let spans = spans.iter().map(one).collect();
    let scope_spans = vec![ScopeSpans { spans }];
    let resource = Some(Resource { attributes });
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans }] }
        .encode_to_vec()
}

fn one(span: &Span) -> OtlpSpan {
    let start = since_epoch(span.start);
    let context = &span.context;
    OtlpSpan {
        trace_id: context.trace_id.to_be_bytes().to_vec(),
        span_id: context.span_id.to_be_bytes().to_vec(),
        parent_span_id: context.parent_id.map_or_else(Vec::new, |parent| parent.to_be_bytes().to_vec()),
        name: span.name.clone(),
        kind: SERVER,
        start_time_unix_nano: start.as_nanos() as u64,
        end_time_unix_nano: (start + span.duration).as_nanos() as u64,
        attributes: span.tags.iter().map(|(name, value)| attribute(name, value)).collect(),
        status: span.error.then_some(Status { code: STATUS_ERROR }),
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    pub(super) spans: Vec<OtlpSpan>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OtlpSpan {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(super) name: String,
    #[prost(int32, tag = "6")]
    pub(super) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(super) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(super) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    pub(super) status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "3")]
    pub(super) code: i32,
}
