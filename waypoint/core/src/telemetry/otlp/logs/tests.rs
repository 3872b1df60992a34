use super::*;
use crate::model::access_log::{Format, Operator, Segment};
use crate::model::log_service::LogProtocol;
use crate::model::tracing::{Collector, CustomTag};
use crate::routing::trace_context::TraceContext;
use crate::telemetry::record::ResponseHead;
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

fn literal(text: &str) -> JsonField {
    JsonField::Value(Arc::new(Format { segments: vec![Segment::Literal(text.into())] }))
}

fn operator(operator: Operator) -> Arc<Format> {
    Arc::new(Format { segments: vec![Segment::Operator { operator, truncate: None }] })
}

fn log() -> OtelLog {
    let code = JsonField::Value(operator(Operator::ResponseCode));
    let inner = vec![("code".into(), code.clone())];
    OtelLog {
        grpc: true,
        body: Some(JsonField::List(vec![literal("a"), code])),
        attributes: vec![("response".into(), JsonField::Object(inner)), ("route".into(), route())],
        resource: vec![("cluster_name".into(), literal("mine"))],
        builtin_labels: true,
        tags: vec![CustomTag {
            name: "host".into(),
            value: operator(Operator::UpstreamHost),
            default: "none".into(),
        }],
    }
}

/// Missing.
fn route() -> JsonField {
    JsonField::Value(operator(Operator::RouteName))
}

fn text(value: Option<&AnyValue>) -> &str {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_is_text_in_the_shape_of_its_configuration() {
    let headers = HeaderMap::new();
    let trace = TraceContext { trace_id: 0x1f, span_id: 0x2f, parent_id: None, sampled: true, shared: false };
    let bytes = record(
        &log(),
        &RequestRecord {
            response: Some(ResponseHead { status: 503, headers: &headers, trailers: None }),
            trace: Some(trace),
            ..RequestRecord::new(SystemTime::UNIX_EPOCH + Duration::from_secs(7))
        },
    );
    let record = LogRecord::decode(&*bytes).unwrap();
    assert_eq!(record.time_unix_nano, 7_000_000_000);
    let Some(Value::List(body)) = record.body.unwrap().value else { panic!("no list") };
    assert_eq!(body.values.iter().map(|one| text(Some(one))).collect::<Vec<_>>(), ["a", "503"]);
    let keys: Vec<&str> = record.attributes.iter().map(|pair| &*pair.key).collect();
    assert_eq!(keys, ["response", "route", "host"]);
    let Some(Value::Object(response)) = &record.attributes[0].value.as_ref().unwrap().value else {
        panic!("no object")
    };
    assert_eq!((&*response.values[0].key, text(response.values[0].value.as_ref())), ("code", "503"));
    assert_eq!(text(record.attributes[1].value.as_ref()), "-");
    assert_eq!(text(record.attributes[2].value.as_ref()), "none");
    assert_eq!((record.trace_id.len(), record.trace_id[15], record.span_id[7]), (16, 0x1f, 0x2f));
}

#[test]
fn a_batch_says_whose_it_is() {
    let collector = Collector {
        cluster: "c".into(),
        authority: HeaderValue::from_static("c"),
        path: "/".into(),
        headers: Vec::new(),
        timeout: None,
    };
    let log = log();
    let service = LogService {
        content_hash: 0,
        collector,
        log_name: "access".into(),
        batch_bytes: 1,
        protocol: LogProtocol::OpenTelemetry(log.clone()),
    };
    let node = NodeInfo { id: "waypoint~1".into(), cluster: "theirs".into(), ..NodeInfo::NONE.clone() };
    let nothing = RequestRecord::new(SystemTime::UNIX_EPOCH);
    let records = vec![record(&log, &nothing), record(&log, &nothing)];
    let bytes = batch(&service, &log, &node, records.clone());
    let request = ExportLogsServiceRequest::decode(&*bytes).unwrap();
    let logs = &request.resource_logs[0];
    let resource: Vec<_> = logs.resource.as_ref().unwrap().attributes.iter().collect();
    let pairs: Vec<_> = resource.iter().map(|pair| (&*pair.key, text(pair.value.as_ref()))).collect();
    assert_eq!(
        pairs,
        [("log_name", "access"), ("zone_name", ""), ("node_name", "waypoint~1"), ("cluster_name", "mine")]
    );
    assert_eq!(logs.scope_logs[0].log_records, records);
}
