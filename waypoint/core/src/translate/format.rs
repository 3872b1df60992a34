//! Format strings with `%COMMAND(parameters):length%` operators, cut into segments once.
//!
//! Grammar, of `SubstitutionFormatParser`: `%%` is a percent sign; a command is `[A-Z0-9_]+`, its parameters run to the
//! first `)` that is followed by `%` or `:digits%`. An unknown command is a rejection, as in Envoy.

use super::problem::{Problem, Result, Warnings};
use super::{cel, values};
use crate::model::access_log::{Format, LogHeader, Operator, Segment};
use chrono::format::{Item, StrftimeItems};

/// Commands Envoy knows and we hold no value for; a family is named by its prefix and a `*`.
const UNAVAILABLE: &[&str] = &[
    "CONNECTION_ID",
    "UPSTREAM_CONNECTION_ID",
    "CUSTOM_FLAGS",
    "COALESCE",
    "DOWNSTREAM_TLS_*",
    "DOWNSTREAM_PEER_*",
    "DOWNSTREAM_LOCAL_*",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
    "DOWNSTREAM_WIRE_*",
    "DOWNSTREAM_HEADER_BYTES_*",
    "DOWNSTREAM_DECOMPRESSED_*",
    "DOWNSTREAM_*_BYTES*",
    "UPSTREAM_*",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "EMIT_TIME",
    "START_TIME_LOCAL",
    "EMIT_TIME_LOCAL",
    "COMMON_DURATION",
    "ROUNDTRIP_DURATION",
    "REQUEST_TX_DURATION",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_HEADER_BYTES",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "REQUESTED_SERVER_NAME_*",
    "VIRTUAL_CLUSTER_NAME",
    "VIRTUAL_HOST_NAME",
    "FILTER_CHAIN_NAME",
    "TRAFFIC_DIRECTION",
    "UNIQUE_ID",
    "SPAN_ID",
    "ACCESS_LOG_TYPE",
    "PATH",
    "QUERY_PARAM",
    "QUERY_PARAMS",
    "FILE_CONTENT",
    "LOCAL_REPLY_BODY",
    "UDP_*",
    "QUIC_*",
];

pub(super) fn parse(text: &str) -> Result<Format> {
    let mut segments = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        literal.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            literal.push('%');
            rest = after;
            continue;
        }
        if !literal.is_empty() {
            segments.push(Segment::Literal(std::mem::take(&mut literal).into()));
        }
        let (segment, after) = operator_segment(rest)?;
        segments.push(segment);
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        segments.push(Segment::Literal(literal.into()));
    }
    Ok(Format { segments })
}

/// The commands of a format that will always print as missing.
pub(super) fn unavailable(format: &Format) -> impl Iterator<Item = &str> {
    format.segments.iter().filter_map(|segment| match segment {
        Segment::Operator { operator: Operator::Unavailable(name), .. } => Some(&**name),
        _ => None,
    })
}

/// Reads `COMMAND(parameters):length%`, the opening `%` already gone.
fn operator_segment(text: &str) -> Result<(Segment, &str)> {
    let bad = || Problem::invalid(format_args!("unterminated operator in format at {:?}", excerpt(text)));
    let name_end =
        text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).ok_or_else(bad)?;
    let (name, mut rest) = text.split_at(name_end);
    let mut parameters = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let (end, after) = closing(inner).ok_or_else(bad)?;
        parameters = Some(&inner[..end]);
        rest = after;
    }
    let (truncate, rest) = suffix(rest).ok_or_else(bad)?;
    let operator = operator(name, parameters)?;
    Ok((Segment::Operator { operator, truncate }, rest))
}

/// The first `)` that really ends the parameters: strftime patterns may hold both `)` and `%`.
fn closing(inner: &str) -> Option<(usize, &str)> {
    inner.match_indices(')').map(|(at, _)| (at, &inner[at + 1..])).find(|(_, after)| suffix(after).is_some())
}

/// `:digits%` or `%`, and what follows.
fn suffix(text: &str) -> Option<(Option<usize>, &str)> {
    if let Some(rest) = text.strip_prefix('%') {
        return Some((None, rest));
    }
    let digits = text.strip_prefix(':')?;
    let end = digits.find('%')?;
    let length = digits[..end].parse().ok()?;
    Some((Some(length), &digits[end + 1..]))
}

fn excerpt(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}

fn operator(name: &str, parameters: Option<&str>) -> Result<Operator> {
    if let Some(operator) = plain(name) {
        return match parameters {
            None => Ok(operator),
            Some(_) => Err(Problem::invalid(format_args!("{name} takes no parameters"))),
        };
    }
    let with_header = |build: fn(LogHeader, Option<LogHeader>) -> Operator| {
        let (name, alternative) = headers(required(name, parameters)?)?;
        Ok(build(name, alternative))
    };
    match name {
        "START_TIME" => start_time(parameters),
        "REQ" => with_header(|name, alternative| Operator::Request { name, alternative }),
        "REQ_WITHOUT_QUERY" => {
            with_header(|name, alternative| Operator::RequestWithoutQuery { name, alternative })
        }
        "RESP" => with_header(|name, alternative| Operator::Response { name, alternative }),
        "TRAILER" => with_header(|name, alternative| Operator::Trailer { name, alternative }),
        "GRPC_STATUS" => match parameters {
            Some("NUMBER") => Ok(Operator::GrpcStatusNumber),
            _ => Ok(Operator::GrpcStatus),
        },
        "ENVIRONMENT" => Ok(Operator::Environment(required(name, parameters)?.into())),
        "FILTER_STATE" => filter_state(required(name, parameters)?),
        "DYNAMIC_METADATA" => {
            let (filter, path) = metadata(required(name, parameters)?);
            Ok(Operator::DynamicMetadata { filter, path })
        }
        "CLUSTER_METADATA" => {
            let (filter, path) = metadata(required(name, parameters)?);
            Ok(Operator::ClusterMetadata { filter, path })
        }
        "CEL" => Ok(expression(required(name, parameters)?)),
        "METADATA" => typed_metadata(required(name, parameters)?),
        _ if is_unavailable(name) => Ok(Operator::Unavailable(name.into())),
        _ => Err(Problem::invalid(format_args!("unknown access log operator %{name}%"))),
    }
}

fn plain(name: &str) -> Option<Operator> {
    Some(match name {
        "PROTOCOL" => Operator::Protocol,
        "RESPONSE_CODE" => Operator::ResponseCode,
        "RESPONSE_CODE_DETAILS" => Operator::ResponseCodeDetails,
        "RESPONSE_FLAGS" | "RESPONSE_FLAGS_LONG" => Operator::ResponseFlags,
        "CONNECTION_TERMINATION_DETAILS" => Operator::ConnectionTerminationDetails,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Operator::UpstreamTransportFailureReason,
        "BYTES_RECEIVED" => Operator::BytesReceived,
        "BYTES_SENT" => Operator::BytesSent,
        "DURATION" => Operator::Duration,
        "REQUEST_DURATION" => Operator::RequestDuration,
        "RESPONSE_DURATION" => Operator::ResponseDuration,
        "RESPONSE_TX_DURATION" => Operator::ResponseTxDuration,
        "UPSTREAM_HOST" => Operator::UpstreamHost,
        "UPSTREAM_CLUSTER" => Operator::UpstreamCluster { raw: false },
        "UPSTREAM_CLUSTER_RAW" => Operator::UpstreamCluster { raw: true },
        "UPSTREAM_LOCAL_ADDRESS" => Operator::UpstreamLocalAddress,
        "UPSTREAM_REMOTE_ADDRESS" => Operator::UpstreamRemoteAddress,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Operator::UpstreamRequestAttemptCount,
        "DOWNSTREAM_LOCAL_ADDRESS" => Operator::DownstreamLocalAddress,
        "DOWNSTREAM_REMOTE_ADDRESS" => Operator::DownstreamRemoteAddress { port: true },
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Operator::DownstreamRemoteAddress { port: false },
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => Operator::DownstreamDirectRemoteAddress { port: true },
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => {
            Operator::DownstreamDirectRemoteAddress { port: false }
        }
        "DOWNSTREAM_PEER_URI_SAN" => Operator::DownstreamPeerUriSan,
        "DOWNSTREAM_LOCAL_URI_SAN" => Operator::DownstreamLocalUriSan,
        "REQUESTED_SERVER_NAME" => Operator::RequestedServerName,
        "ROUTE_NAME" => Operator::RouteName,
        "GRPC_STATUS_NUMBER" => Operator::GrpcStatusNumber,
        "HOSTNAME" => Operator::Hostname,
        "STREAM_ID" => Operator::StreamId,
        "TRACE_ID" => Operator::TraceId,
        _ => return None,
    })
}

fn is_unavailable(name: &str) -> bool {
    UNAVAILABLE.iter().any(|known| match known.split_once('*') {
        Some((prefix, rest)) => name.starts_with(prefix) && name.contains(rest.trim_end_matches('*')),
        None => *known == name,
    })
}

fn required<'a>(name: &str, parameters: Option<&'a str>) -> Result<&'a str> {
    parameters
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Problem::invalid(format_args!("{name} needs parameters")))
}

fn headers(parameters: &str) -> Result<(LogHeader, Option<LogHeader>)> {
    match parameters.split_once('?') {
        Some((name, alternative)) => Ok((header(name)?, Some(header(alternative)?))),
        None => Ok((header(parameters)?, None)),
    }
}

fn header(name: &str) -> Result<LogHeader> {
    Ok(match name.to_ascii_lowercase().as_str() {
        ":method" => LogHeader::Method,
        ":path" => LogHeader::Path,
        ":authority" | "host" => LogHeader::Authority,
        ":scheme" => LogHeader::Scheme,
        ":status" => LogHeader::Status,
        other => LogHeader::Name(values::header_name(other)?),
    })
}

fn start_time(parameters: Option<&str>) -> Result<Operator> {
    let Some(pattern) = parameters.filter(|pattern| !pattern.is_empty()) else {
        return Ok(Operator::StartTime(None));
    };
    if StrftimeItems::new(pattern).any(|item| item == Item::Error) {
        return Err(Problem::invalid(format_args!("bad time format {pattern:?}")));
    }
    Ok(Operator::StartTime(Some(pattern.into())))
}

/// `key`, `key:PLAIN`, `key:TYPED`, `key:FIELD:name`.
fn filter_state(parameters: &str) -> Result<Operator> {
    let (key, how) = parameters.split_once(':').unwrap_or((parameters, ""));
    let field = match how.split_once(':') {
        None if matches!(how, "" | "PLAIN" | "TYPED") => None,
        Some(("FIELD", field)) => Some(field.into()),
        _ => return Err(Problem::invalid(format_args!("bad FILTER_STATE({parameters})"))),
    };
    Ok(Operator::FilterState { key: key.into(), field })
}

fn metadata(parameters: &str) -> (Box<str>, Box<[Box<str>]>) {
    let mut parts = parameters.split(':');
    let filter = parts.next().unwrap_or_default().into();
    (filter, parts.map(Into::into).collect())
}

/// One that cannot be evaluated, or speaks of what has no value here, is named as any such operator is.
fn expression(text: &str) -> Operator {
    let mut warnings = Warnings::default();
    let why = match cel::expression(text, &mut warnings) {
        Ok(expression) => match warnings.into_list().into_iter().next() {
            None => return Operator::Expression(expression),
            Some(warning) => format!("{text}: {}", warning.text),
        },
        Err(Problem::Unsupported { what, .. }) => what,
        Err(Problem::Invalid { reason, .. }) => reason,
    };
    Operator::Unavailable(format!("CEL({why})").into())
}

/// `METADATA(TYPE:filter:key…)`.
fn typed_metadata(parameters: &str) -> Result<Operator> {
    let (kind, rest) = parameters.split_once(':').unwrap_or((parameters, ""));
    let (filter, path) = metadata(rest);
    match kind {
        "DYNAMIC" => Ok(Operator::DynamicMetadata { filter, path }),
        "CLUSTER" => Ok(Operator::ClusterMetadata { filter, path }),
        "ROUTE" | "UPSTREAM_HOST" | "LISTENER" | "LISTENER_FILTER_CHAIN" | "VIRTUAL_HOST" => {
            Ok(Operator::Unavailable(format!("METADATA({parameters})").into()))
        }
        _ => Err(Problem::invalid(format_args!("bad METADATA({parameters})"))),
    }
}

#[cfg(test)]
mod tests;
