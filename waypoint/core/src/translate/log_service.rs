//! Loggers that send to services: OpenTelemetry and Envoy's own protocol. Istio: `envoyOtelAls`, `envoyHttpAls`, `envoyTcpAls`.

use super::access_log::{literal, parsed};
use super::pb::protobuf::{self, Any};
use super::pb::{grpc_log, otel_log, otlp};
use super::problem::{At, Problem, Result, Warnings};
use super::{ignored, tracing, values, wire};
use crate::limits::NESTING_MAX;
use crate::model::access_log::JsonField;
use crate::model::log_service::{EntryLog, LogProtocol, LogService, OtelLog};
use http::HeaderName;
use otel_log::OpenTelemetryAccessLogConfig;
use std::sync::Arc;

const OTLP: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const STREAM: &str = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
const BATCH_BYTES: u32 = 16 << 10;

pub(super) fn opentelemetry(any: &Any, warnings: &mut Warnings) -> Result<LogService> {
    let mut config: OpenTelemetryAccessLogConfig = wire::unpack(any, warnings)?;
    let mut common = config.common_config.take().unwrap_or_default();
    for detector in std::mem::take(&mut config.resource_detectors) {
        warnings
            .push(format!("resource detector {} is not honoured: logs lack its attributes", detector.name));
    }
    let (collector, grpc) = match (config.grpc_service.take(), config.http_service.take()) {
        (Some(service), _) => (tracing::grpc_service(service, OTLP)?, true),
        (None, Some(service)) => (tracing::http_service(service)?, false),
        (None, None) => (grpc_target(&mut common, OTLP)?, true),
    };
    let name = std::mem::take(&mut config.log_name);
    let log_name = if name.is_empty() { std::mem::take(&mut common.log_name) } else { name };
    let common_batch = common.buffer_size_bytes.take();
    let batch = config.buffer_size_bytes.take().or(common_batch);
    let log = OtelLog {
        grpc,
        body: config.body.take().map(|body| value(body, 0, warnings)).transpose().at("body")?,
        attributes: pairs(config.attributes.take(), warnings).at("attributes")?,
        resource: literals(config.resource_attributes.take()).at("resource_attributes")?,
        builtin_labels: !std::mem::take(&mut config.disable_builtin_labels),
        tags: tracing::tags(std::mem::take(&mut config.custom_tags), warnings)?,
    };
    no_objects(&config.filter_state_objects_to_log, warnings);
    ignored::otel_log(&mut config);
    ignored::grpc_log(&mut common);
    common.filter_state_objects_to_log.clear(); // Envoy reads the other field, which istiod leaves empty
    wire::nothing_left(&common)?;
    wire::nothing_left(&config)?;
    Ok(service(any, collector, &log_name, batch, LogProtocol::OpenTelemetry(log)))
}

fn no_objects(names: &[String], warnings: &mut Warnings) {
    for name in names {
        warnings.push(format!("filter state object {name} is not in OpenTelemetry's attributes"));
    }
}

pub(super) fn http(any: &Any, warnings: &mut Warnings) -> Result<LogService> {
    let config: grpc_log::HttpGrpcAccessLogConfig = wire::unpack(any, warnings)?;
    let headers = |names: Vec<String>| -> Result<Vec<HeaderName>> {
        names.iter().map(|name| values::header_name(name)).collect()
    };
    let entry = EntryLog {
        request_headers: headers(config.additional_request_headers_to_log)?,
        response_headers: headers(config.additional_response_headers_to_log)?,
        response_trailers: headers(config.additional_response_trailers_to_log)?,
        ..EntryLog::default()
    };
    entries(any, config.common_config, entry, LogProtocol::Http, warnings)
}

pub(super) fn tcp(any: &Any, warnings: &mut Warnings) -> Result<LogService> {
    let config: grpc_log::TcpGrpcAccessLogConfig = wire::unpack(any, warnings)?;
    entries(any, config.common_config, EntryLog::default(), LogProtocol::Tcp, warnings)
}

fn entries(
    any: &Any,
    common: Option<grpc_log::CommonGrpcAccessLogConfig>,
    entry: EntryLog,
    protocol: fn(EntryLog) -> LogProtocol,
    warnings: &mut Warnings,
) -> Result<LogService> {
    let mut common = common.ok_or_else(|| Problem::invalid("no common_config"))?;
    let collector = grpc_target(&mut common, STREAM)?;
    let log_name = std::mem::take(&mut common.log_name);
    let batch = common.buffer_size_bytes.take();
    let objects = std::mem::take(&mut common.filter_state_objects_to_log).into_iter();
    let tags = tracing::tags(std::mem::take(&mut common.custom_tags), warnings)?;
    let entry = EntryLog { filter_state: objects.map(Into::into).collect(), tags, ..entry };
    ignored::grpc_log(&mut common);
    wire::nothing_left(&common)?;
    Ok(service(any, collector, &log_name, batch, protocol(entry)))
}

fn grpc_target(
    common: &mut grpc_log::CommonGrpcAccessLogConfig,
    path: &str,
) -> Result<crate::model::tracing::Collector> {
    let target = common.grpc_service.take().ok_or_else(|| Problem::invalid("no grpc_service"))?;
    tracing::grpc_service(target, path)
}

fn service(
    any: &Any,
    collector: crate::model::tracing::Collector,
    log_name: &str,
    batch: Option<protobuf::UInt32Value>,
    protocol: LogProtocol,
) -> LogService {
    let batch_bytes = batch.map_or(BATCH_BYTES, |batch| batch.value) as usize;
    LogService {
        content_hash: wire::hash(&any.value),
        collector,
        log_name: log_name.into(),
        batch_bytes,
        protocol,
    }
}

/// Envoy: text, lists and lists of keys and values; text is a format.
fn value(value: otlp::AnyValue, depth: usize, warnings: &mut Warnings) -> Result<JsonField> {
    use otlp::any_value::Value;
    if depth > NESTING_MAX {
        return Err(Problem::invalid("nests too deep"));
    }
    match value.value {
        Some(Value::StringValue(format)) => parsed(&format, warnings).map(JsonField::Value),
        Some(Value::ArrayValue(list)) => {
            let items = list.values.into_iter().map(|item| self::value(item, depth + 1, warnings));
            Ok(JsonField::List(items.collect::<Result<_>>()?))
        }
        Some(Value::KvlistValue(list)) => {
            let pairs = list.values.into_iter().map(|pair| keyed(pair, depth + 1, warnings));
            Ok(JsonField::Object(pairs.collect::<Result<_>>()?))
        }
        _ => Err(Problem::invalid("neither text, list nor keys and values")),
    }
}

fn keyed(pair: otlp::KeyValue, depth: usize, warnings: &mut Warnings) -> Result<(Box<str>, JsonField)> {
    let field = value(pair.value.unwrap_or_default(), depth, warnings).at(&pair.key)?;
    Ok((pair.key.into(), field))
}

fn pairs(list: Option<otlp::KeyValueList>, warnings: &mut Warnings) -> Result<Vec<(Box<str>, JsonField)>> {
    list.into_iter().flat_map(|list| list.values).map(|pair| keyed(pair, 0, warnings)).collect()
}

/// Attributes of the resource are no formats.
fn literals(list: Option<otlp::KeyValueList>) -> Result<Vec<(Box<str>, JsonField)>> {
    let pair = |pair: otlp::KeyValue| match pair.value.and_then(|value| value.value) {
        Some(otlp::any_value::Value::StringValue(text)) => {
            Ok((pair.key.into(), JsonField::Value(Arc::new(literal(&text)))))
        }
        _ => Err(Problem::unsupported("unsupported_resource_attribute", pair.key)),
    };
    list.into_iter().flat_map(|list| list.values).map(pair).collect()
}

#[cfg(test)]
mod tests;
