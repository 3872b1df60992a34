//! Spans as Zipkin's JSON. Spec: Zipkin API v2, `POST /api/v2/spans`.

use super::{Service, Span, since_epoch};
use serde_json::{Map, Value, json};

/// The body of one POST.
#[must_use]
pub fn batch(spans: &[Span], service: &Service) -> Vec<u8> {
    let spans: Vec<Value> = spans.iter().map(|span| one(span, service)).collect();
    Value::Array(spans).to_string().into_bytes()
}

fn one(span: &Span, service: &Service) -> Value {
    let context = &span.context;
    let tags: Map<String, Value> =
        span.tags.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    let mut endpoint = Map::new();
    endpoint.insert("serviceName".to_owned(), json!(&*service.name));
    if let Some(local) = span.local {
        let family = if local.is_ipv4() { "ipv4" } else { "ipv6" };
        endpoint.insert(family.to_owned(), json!(local.ip().to_string()));
        endpoint.insert("port".to_owned(), json!(local.port()));
    }
    let mut value = json!({
        "traceId": context.trace_id_text(),
        "id": format!("{:016x}", context.span_id),
        "name": span.name,
        "kind": "SERVER",
        "timestamp": since_epoch(span.start).as_micros() as u64,
        // Zero would mean "unknown".
        "duration": (span.duration.as_micros() as u64).max(1),
        "localEndpoint": endpoint,
        "tags": tags,
    });
    if let Some(parent) = context.parent_id {
        value["parentId"] = json!(format!("{parent:016x}"));
    }
    if context.shared {
        value["shared"] = json!(true);
    }
    value
}
