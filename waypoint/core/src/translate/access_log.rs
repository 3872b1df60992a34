//! Access loggers: file and stdout sinks with their formats, and filters. Those that send to services are `log_service`'s.
//!
//! All are telemetry only: what cannot be honoured degrades with a warning. A filter we cannot evaluate drops its logger
//! rather than logging what the user asked not to log.
//! Istio: `pilot/pkg/model/telemetry_logging.go`.

use super::pb::{accesslog, cel_filter, core, file_log, protobuf, stream_log};
use super::problem::{At, Problem, Result, Warnings};
use super::{cel, format, ignored, log_service, values, wire};
use crate::failure::ResponseFlag;
use crate::limits::NESTING_MAX;
use crate::model::access_log::{
    AccessLog, AccessLogFilter, AccessLogFormat, AccessLogSink, Comparison, Format, JsonField, LogOutput,
};
use std::sync::Arc;

/// Istio's `accessLogFormat` default, byte for byte: used where a file logger names no format.
pub const DEFAULT_FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

/// The loggers of one listener, chain or route; those that cannot be honoured are dropped with a warning.
pub(super) fn loggers(
    logs: Vec<accesslog::AccessLog>,
    warnings: &mut Warnings,
) -> Result<Vec<Arc<AccessLog>>> {
    let mut loggers = Vec::new();
    for (index, log) in logs.into_iter().enumerate() {
        let name = log.name.clone();
        match logger(log, warnings).at_index("access_log", index) {
            Ok(logger) => loggers.push(Arc::new(logger)),
            Err(Problem::Unsupported { kind, what }) => {
                warnings.push(format!("access logger {name} is not honoured: {kind}{{{what}}}"));
            }
            Err(invalid) => return Err(invalid),
        }
    }
    Ok(loggers)
}

fn logger(log: accesslog::AccessLog, warnings: &mut Warnings) -> Result<AccessLog> {
    let filter = log.filter.map(|filter| self::filter(filter, 0, warnings)).transpose().at("filter")?;
    let Some(accesslog::access_log::ConfigType::TypedConfig(any)) = log.config_type else {
        return Err(Problem::invalid("access logger without configuration"));
    };
    let service = |service| LogOutput::Service(Arc::new(service));
    let output = match wire::type_name(&any) {
        "envoy.extensions.access_loggers.file.v3.FileAccessLog" => {
            let config: file_log::FileAccessLog = wire::unpack(&any, warnings)?;
            let format = file_format(config.access_log_format, warnings)?;
            LogOutput::Lines { sink: sink(&config.path), format }
        }
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog" => {
            let config: stream_log::StdoutAccessLog = wire::unpack(&any, warnings)?;
            use stream_log::stdout_access_log::AccessLogFormat::LogFormat;
            let format = config
                .access_log_format
                .map(|LogFormat(format)| file_log::file_access_log::AccessLogFormat::LogFormat(format));
            LogOutput::Lines { sink: AccessLogSink::Stdout, format: file_format(format, warnings)? }
        }
        "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig" => {
            service(log_service::opentelemetry(&any, warnings)?)
        }
        "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig" => {
            service(log_service::http(&any, warnings)?)
        }
        "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig" => {
            service(log_service::tcp(&any, warnings)?)
        }
        other => return Err(Problem::unsupported("unsupported_access_log", other)),
    };
    Ok(AccessLog { output, filter })
}

fn sink(path: &str) -> AccessLogSink {
    match path {
        "/dev/stdout" => AccessLogSink::Stdout,
        "/dev/stderr" => AccessLogSink::Stderr,
        path => AccessLogSink::File(path.into()),
    }
}

fn file_format(
    format: Option<file_log::file_access_log::AccessLogFormat>,
    warnings: &mut Warnings,
) -> Result<AccessLogFormat> {
    use file_log::file_access_log::AccessLogFormat as Kind;
    match format {
        None => text(DEFAULT_FORMAT, warnings),
        Some(Kind::Format(format)) if format.is_empty() => text(DEFAULT_FORMAT, warnings),
        Some(Kind::Format(format)) => text(&format, warnings),
        Some(Kind::JsonFormat(fields) | Kind::TypedJsonFormat(fields)) => json(&fields, false, warnings),
        Some(Kind::LogFormat(format)) => substitution(format, warnings).at("log_format"),
    }
}

fn substitution(
    mut format: core::SubstitutionFormatString,
    warnings: &mut Warnings,
) -> Result<AccessLogFormat> {
    use core::substitution_format_string::Format as Kind;
    let omit_empty = std::mem::take(&mut format.omit_empty_values);
    let kind = format.format.take();
    ignored::substitution_format(&mut format);
    wire::nothing_left(&format)?;
    match kind {
        Some(Kind::TextFormat(format)) => text(&format, warnings),
        Some(Kind::TextFormatSource(source)) => match values::inline_text(&source)? {
            empty if empty.is_empty() => text(DEFAULT_FORMAT, warnings),
            format => text(&format, warnings),
        },
        Some(Kind::JsonFormat(fields)) => json(&fields, omit_empty, warnings),
        None => text(DEFAULT_FORMAT, warnings),
    }
}

fn text(format: &str, warnings: &mut Warnings) -> Result<AccessLogFormat> {
    parsed(format, warnings).map(AccessLogFormat::Text)
}

pub(super) fn parsed(text: &str, warnings: &mut Warnings) -> Result<Arc<Format>> {
    let format = format::parse(text)?;
    for operator in format::unavailable(&format) {
        warnings.push(format!("access log operator %{operator}% has no value here and prints as missing"));
    }
    Ok(Arc::new(format))
}

fn json(fields: &protobuf::Struct, omit_empty: bool, warnings: &mut Warnings) -> Result<AccessLogFormat> {
    Ok(AccessLogFormat::Json { fields: object(fields, 0, warnings)?, omit_empty })
}

/// In name order: a protobuf map has none of its own, and Envoy sorts too.
fn object(
    fields: &protobuf::Struct,
    depth: usize,
    warnings: &mut Warnings,
) -> Result<Vec<(Box<str>, JsonField)>> {
    let mut names: Vec<&String> = fields.fields.keys().collect();
    names.sort_unstable();
    names
        .into_iter()
        .map(|name| Ok((name.as_str().into(), field(&fields.fields[name], depth + 1, warnings).at(name)?)))
        .collect()
}

fn field(value: &protobuf::Value, depth: usize, warnings: &mut Warnings) -> Result<JsonField> {
    use protobuf::value::Kind;
    if depth > NESTING_MAX {
        return Err(Problem::invalid("JSON format nests too deep"));
    }
    match &value.kind {
        Some(Kind::StringValue(format)) => Ok(JsonField::Value(parsed(format, warnings)?)),
        Some(Kind::StructValue(fields)) => Ok(JsonField::Object(object(fields, depth, warnings)?)),
        Some(Kind::ListValue(list)) => {
            let items = list.values.iter().map(|value| field(value, depth + 1, warnings));
            Ok(JsonField::List(items.collect::<Result<_>>()?))
        }
        // Envoy: "Only string values, nested structs, list values and number values are supported".
        Some(Kind::NumberValue(number)) => Ok(JsonField::Value(Arc::new(literal(&number.to_string())))),
        _ => Err(Problem::invalid("JSON format value is neither text, number, list nor object")),
    }
}

pub(super) fn literal(text: &str) -> Format {
    Format { segments: vec![crate::model::access_log::Segment::Literal(text.into())] }
}

fn filter(
    filter: accesslog::AccessLogFilter,
    depth: usize,
    warnings: &mut Warnings,
) -> Result<AccessLogFilter> {
    use accesslog::access_log_filter::FilterSpecifier as Kind;
    if depth > NESTING_MAX {
        return Err(Problem::invalid("access log filter nests too deep"));
    }
    let mut all = |filters: Vec<accesslog::AccessLogFilter>| -> Result<Vec<AccessLogFilter>> {
        filters
            .into_iter()
            .enumerate()
            .map(|(i, one)| self::filter(one, depth + 1, warnings).at_index("filters", i))
            .collect()
    };
    match filter.filter_specifier {
        Some(Kind::StatusCodeFilter(filter)) => {
            let (op, value) = comparison(filter.comparison)?;
            Ok(AccessLogFilter::Status { op, value })
        }
        Some(Kind::DurationFilter(filter)) => {
            let (op, millis) = comparison(filter.comparison)?;
            Ok(AccessLogFilter::Duration { op, millis })
        }
        Some(Kind::ResponseFlagFilter(filter)) => response_flags(&filter.flags),
        Some(Kind::NotHealthCheckFilter(_)) => Ok(AccessLogFilter::NotHealthCheck),
        Some(Kind::AndFilter(filter)) => Ok(AccessLogFilter::And(all(filter.filters)?)),
        Some(Kind::OrFilter(filter)) => Ok(AccessLogFilter::Or(all(filter.filters)?)),
        Some(Kind::ExtensionFilter(filter)) => extension(filter, warnings),
        Some(Kind::TraceableFilter(_)) => Err(Problem::unsupported("unsupported_log_filter", "traceable")),
        Some(Kind::RuntimeFilter(_)) => Err(Problem::unsupported("unsupported_log_filter", "runtime")),
        Some(Kind::HeaderFilter(_)) => Err(Problem::unsupported("unsupported_log_filter", "header")),
        Some(Kind::GrpcStatusFilter(_)) => Err(Problem::unsupported("unsupported_log_filter", "grpc_status")),
        Some(Kind::MetadataFilter(_)) => Err(Problem::unsupported("unsupported_log_filter", "metadata")),
        Some(Kind::LogTypeFilter(_)) => Err(Problem::unsupported("unsupported_log_filter", "log_type")),
        None => Err(Problem::unsupported("unsupported_log_filter", "unknown")),
    }
}

fn extension(filter: accesslog::ExtensionFilter, warnings: &mut Warnings) -> Result<AccessLogFilter> {
    let Some(accesslog::extension_filter::ConfigType::TypedConfig(any)) = filter.config_type else {
        return Err(Problem::unsupported("unsupported_log_filter", filter.name));
    };
    if wire::type_name(&any) != "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter" {
        return Err(Problem::unsupported("unsupported_log_filter", filter.name));
    }
    let mut config: cel_filter::ExpressionFilter = wire::unpack(&any, warnings)?;
    let text = std::mem::take(&mut config.expression);
    wire::nothing_left(&config)?;
    Ok(AccessLogFilter::Expression(cel::expression(&text, warnings)?))
}

fn comparison(comparison: Option<accesslog::ComparisonFilter>) -> Result<(Comparison, u32)> {
    use accesslog::comparison_filter::Op;
    let comparison = comparison.ok_or_else(|| Problem::invalid("filter without comparison"))?;
    let op = match wire::enum_value(comparison.op, "ComparisonFilter.op")? {
        Op::Eq => Comparison::Eq,
        Op::Ge => Comparison::Ge,
        Op::Le => Comparison::Le,
        Op::Ne => Comparison::Ne,
    };
    // The runtime key (`istio.io/unset`) is ignored: a waypoint has no runtime layers.
    Ok((op, comparison.value.map_or(0, |value| value.default_value)))
}

/// Flags Envoy knows and we never raise match nothing; unknown ones are a rejection.
fn response_flags(names: &[String]) -> Result<AccessLogFilter> {
    const NEVER_RAISED: &[&str] = &["LH", "RLSE", "RFCF", "NFCF", "DO", "UDO", "DN"];
    let mut flags = Vec::new();
    for name in names {
        match ResponseFlag::from_name(name) {
            Some(flag) => flags.push(flag),
            None if NEVER_RAISED.contains(&name.as_str()) => {}
            None => return Err(Problem::invalid(format_args!("unknown response flag {name:?}"))),
        }
    }
    if flags.is_empty() && !names.is_empty() {
        return Ok(AccessLogFilter::Or(Vec::new()));
    }
    Ok(AccessLogFilter::ResponseFlags(flags))
}

#[cfg(test)]
mod tests;
