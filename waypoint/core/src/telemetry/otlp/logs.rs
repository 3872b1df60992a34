//! Access logs as OTLP. Spec: `opentelemetry/proto/logs/v1/logs.proto`; Envoy: `access_loggers/open_telemetry`.

use super::{AnyValue, ArrayValue, KeyValue, KeyValueList, Resource, Value, attribute};
use crate::model::access_log::JsonField;
use crate::model::log_service::{LogService, OtelLog};
use crate::model::node::NodeInfo;
use crate::telemetry::format;
use crate::telemetry::record::RequestRecord;
use prost::Message;
use std::time::SystemTime;

/// One `LogRecord`, encoded.
#[must_use]
pub fn record(log: &OtelLog, record: &RequestRecord<'_>) -> Vec<u8> {
    let since_epoch = record.start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let trace = record.trace.as_ref();
    let tags = log.tags.iter().filter_map(|tag| {
        let value = tag.text(|value, out| format::text(value, record, out))?;
        Some(attribute(&tag.name, &value))
    });
    LogRecord {
        time_unix_nano: since_epoch.as_nanos() as u64,
        body: log.body.as_ref().map(|body| value(body, record)),
        attributes: pairs(&log.attributes, record).into_iter().chain(tags).collect(),
        trace_id: trace.map_or_else(Vec::new, |trace| trace.trace_id.to_be_bytes().to_vec()),
        span_id: trace.map_or_else(Vec::new, |trace| trace.span_id.to_be_bytes().to_vec()),
    }
    .encode_to_vec()
}

/// `ExportLogsServiceRequest`, of encoded records.
#[must_use]
pub fn batch(service: &LogService, log: &OtelLog, node: &NodeInfo, records: Vec<Vec<u8>>) -> Vec<u8> {
    let mut attributes = Vec::new();
    if log.builtin_labels {
        attributes.push(attribute("log_name", &service.log_name));
        attributes.push(attribute("zone_name", &node.zone));
        attributes.push(attribute("cluster_name", &node.cluster));
        attributes.push(attribute("node_name", &node.id));
    }
    let nothing = RequestRecord::new(SystemTime::UNIX_EPOCH);
    for pair in pairs(&log.resource, &nothing) {
        attributes.retain(|known: &KeyValue| known.key != pair.key);
        attributes.push(pair);
    }
    let resource = Some(Resource { attributes });
    let scope_logs = vec![ScopeLogs { log_records: records }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs }] }.encode_to_vec()
}

fn pairs(fields: &[(Box<str>, JsonField)], record: &RequestRecord<'_>) -> Vec<KeyValue> {
    let pair = |(key, field): &(Box<str>, JsonField)| KeyValue {
        key: key.to_string(),
        value: Some(value(field, record)),
    };
    fields.iter().map(pair).collect()
}

/// Envoy: everything is text, whatever the operator yields.
fn value(field: &JsonField, record: &RequestRecord<'_>) -> AnyValue {
    let value = match field {
        JsonField::Value(format) => {
            let mut text = String::new();
            format::text(format, record, &mut text);
            Value::Text(text)
        }
        JsonField::List(items) => {
            Value::List(ArrayValue { values: items.iter().map(|item| value(item, record)).collect() })
        }
        JsonField::Object(fields) => Value::Object(KeyValueList { values: pairs(fields, record) }),
    };
    AnyValue { value: Some(value) }
}

#[derive(Clone, PartialEq, Message)]
struct ExportLogsServiceRequest {
    #[prost(message, repeated, tag = "1")]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeLogs {
    /// Encoded `LogRecord`s: on the wire a message and its bytes are the same.
    #[prost(bytes = "vec", repeated, tag = "2")]
    log_records: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct LogRecord {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(message, optional, tag = "5")]
    body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<KeyValue>,
    #[prost(bytes = "vec", tag = "9")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    span_id: Vec<u8>,
}

#[cfg(test)]
mod tests;
