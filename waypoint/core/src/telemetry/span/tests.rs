use super::*;
use crate::model::access_log::{Format, Segment};
use crate::model::route::Fraction;
use crate::model::tracing::{Collector, CustomTag, Sampling, TracingProvider, Zipkin};
use crate::telemetry::record::{RequestHead, ResponseHead};
use http::{HeaderMap, HeaderValue};
use prost::Message as _;

const CONTEXT: TraceContext =
    TraceContext { trace_id: 0x1f, span_id: 0x2f, parent_id: Some(0x3f), sampled: true, shared: false };

fn tracing() -> Tracing {
    let all = Fraction { numerator: 1, denominator: 1 };
    let literal = Format { segments: vec![Segment::Literal("test".into())] };
    let collector = Collector {
        cluster: "c".into(),
        authority: HeaderValue::from_static("c"),
        path: "/".into(),
        headers: Vec::new(),
        timeout: None,
    };
    let zipkin = Zipkin { collector, trace_id_128bit: true, shared_span_context: false, w3c: false };
    Tracing {
        content_hash: 0,
        provider: TracingProvider::Zipkin(zipkin),
        sampling: Sampling { client: all, random: all, overall: all },
        propagate: true,
        max_path_length: 5,
        tags: vec![CustomTag { name: "env".into(), value: Arc::new(literal), default: "".into() }],
    }
}

fn sample(status: u16) -> Span {
    let headers = HeaderMap::new();
    let request = RequestHead {
        method: "GET",
        path: "/orders/7",
        authority: "orders:8080",
        scheme: "http",
        headers: &headers,
        grpc: false,
    };
    let record = RequestRecord {
        duration: Duration::from_millis(3),
        request: Some(request),
        response: Some(ResponseHead { status, headers: &headers, trailers: None }),
        ..RequestRecord::new(SystemTime::UNIX_EPOCH + Duration::from_secs(7))
    };
    let mut span = span(&tracing(), CONTEXT, Some("orders:8080/*"), &record);
    span.local = Some("10.96.0.7:8080".parse().unwrap());
    span
}

fn tag(span: &Span, name: &str) -> Option<String> {
    span.tags.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

#[test]
fn tags_tell_of_the_request() {
    let span = sample(503);
    for (name, expect) in [
        ("http.url", Some("http://orders:8080/orde")),
        ("http.status_code", Some("503")),
        ("error", Some("true")),
        ("env", Some("test")),
        ("grpc.status_code", None),
    ] {
        assert_eq!(tag(&span, name).as_deref(), expect, "{name}");
    }
    assert_eq!(tag(&sample(200), "error"), None);
}

#[test]
fn zipkin_json() {
    let service = Service { name: "waypoint.shop".into() };
    let batch: serde_json::Value = serde_json::from_slice(&zipkin::batch(&[sample(200)], &service)).unwrap();
    let span = &batch[0];
    assert_eq!(
        (span["traceId"].as_str(), span["id"].as_str(), span["parentId"].as_str()),
        (Some("000000000000001f"), Some("000000000000002f"), Some("000000000000003f"))
    );
    assert_eq!((span["timestamp"].as_u64(), span["duration"].as_u64()), (Some(7_000_000), Some(3000)));
    assert_eq!(span["localEndpoint"]["serviceName"], "waypoint.shop");
    assert_eq!((&span["localEndpoint"]["port"], &span["tags"]["http.method"]), (&8080.into(), &"GET".into()));
    assert!(span.get("shared").is_none());
}

#[test]
fn otlp_bytes() {
    let service = Service { name: "waypoint.shop".into() };
    let bytes = otlp::batch(&[sample(200), sample(500)], &service);
    let request = otlp::ExportTraceServiceRequest::decode(&*bytes).unwrap();
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(resource.attributes[0].key, "service.name");
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    assert_eq!((spans[0].trace_id.len(), spans[0].span_id.len(), spans[0].parent_span_id.len()), (16, 8, 8));
    assert_eq!(spans[0].end_time_unix_nano - spans[0].start_time_unix_nano, 3_000_000);
    assert_eq!((&spans[0].status, spans[1].status.as_ref().map(|status| status.code)), (&None, Some(2)));
}
