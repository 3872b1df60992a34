//! Small proto values to plain ones: durations, wrappers, addresses, header names, percentages.

use super::pb::{core, endpoint, protobuf, types, xds_core};
use super::problem::{Problem, Result};
use crate::model::metadata::MetadataValue;
use crate::model::route::Fraction;
use http::{HeaderName, HeaderValue, StatusCode};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn duration(value: &protobuf::Duration) -> Result<Duration> {
    let seconds = u64::try_from(value.seconds).map_err(|_| Problem::invalid("negative duration"))?;
    let nanos = u32::try_from(value.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let nanos = nanos.ok_or_else(|| Problem::invalid("duration nanos out of range"))?;
    Ok(Duration::new(seconds, nanos))
}

pub(super) fn optional_duration(value: Option<&protobuf::Duration>) -> Result<Option<Duration>> {
    value.map(duration).transpose()
}

/// Where Envoy takes zero for "no limit".
pub(super) fn limit(value: Option<&protobuf::Duration>) -> Result<Option<Duration>> {
    Ok(optional_duration(value)?.filter(|duration| !duration.is_zero()))
}

pub(super) fn header_name(name: &str) -> Result<HeaderName> {
    name.parse().map_err(|_| Problem::invalid(format_args!("bad header name {name:?}")))
}

pub(super) fn header_value(value: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(value).map_err(|_| Problem::invalid(format_args!("bad header value {value:?}")))
}

/// A value that is only passed on: bytes beyond ASCII are its reader's to understand, as in Envoy.
pub(super) fn header_text(value: &str) -> Result<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| Problem::invalid(format_args!("bad header value {value:?}")))
}

pub(super) fn optional_header_value(value: &str) -> Result<Option<HeaderValue>> {
    if value.is_empty() { Ok(None) } else { header_value(value).map(Some) }
}

pub(super) fn status(code: u32) -> Result<StatusCode> {
    let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    status
        .filter(|status| status.as_u16() >= 200)
        .ok_or_else(|| Problem::invalid(format_args!("bad status {code}")))
}

pub(super) fn fraction(value: &types::FractionalPercent) -> Result<Fraction> {
    use types::fractional_percent::DenominatorType;
    let denominator = match super::wire::enum_value(value.denominator, "FractionalPercent.denominator")? {
        DenominatorType::Hundred => 100,
        DenominatorType::TenThousand => 10_000,
        DenominatorType::Million => 1_000_000,
    };
    Ok(Fraction { numerator: value.numerator, denominator })
}

/// A missing runtime fraction is all of it. The runtime key is ignored: a waypoint has no runtime layers.
pub(super) fn runtime_fraction(value: Option<&core::RuntimeFractionalPercent>) -> Result<Fraction> {
    match value.and_then(|value| value.default_value.as_ref()) {
        Some(percent) => fraction(percent),
        None => Ok(Fraction { numerator: 100, denominator: 100 }),
    }
}

pub(super) fn cidr(prefix: &str, length: Option<u32>) -> Result<IpNet> {
    let ip: IpAddr = prefix.parse().map_err(|_| Problem::invalid(format_args!("bad address {prefix:?}")))?;
    let length = length.unwrap_or(0);
    let net = u8::try_from(length).ok().and_then(|length| IpNet::new(ip, length).ok());
    net.map(|net| net.trunc())
        .ok_or_else(|| Problem::invalid(format_args!("bad prefix length {prefix}/{length}")))
}

pub(super) fn core_cidr(range: &core::CidrRange) -> Result<IpNet> {
    cidr(&range.address_prefix, range.prefix_len.map(|length| length.value))
}

pub(super) fn xds_cidr(range: &xds_core::CidrRange) -> Result<IpNet> {
    cidr(&range.address_prefix, range.prefix_len.map(|length| length.value))
}

pub(super) fn port(value: u32) -> Result<u16> {
    u16::try_from(value).map_err(|_| Problem::invalid(format_args!("bad port {value}")))
}

/// `10.0.0.1:80`, `[::1]:80`.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr> {
    text.parse().map_err(|_| Problem::invalid(format_args!("bad address {text:?}")))
}

/// Host and port of a plain socket address; the host may be a DNS name.
pub(super) fn host_port(address: &core::SocketAddress) -> Result<(&str, u16)> {
    use core::socket_address::PortSpecifier;
    if address.protocol != core::socket_address::Protocol::Tcp as i32 {
        return Err(Problem::unsupported("unsupported_address", "udp"));
    }
    match &address.port_specifier {
        Some(PortSpecifier::PortValue(value)) => Ok((&address.address, port(*value)?)),
        Some(PortSpecifier::NamedPort(name)) => Err(Problem::unsupported("unsupported_address", name)),
        None => Ok((&address.address, 0)),
    }
}

pub(super) fn plain_address(address: &core::Address) -> Result<SocketAddr> {
    match &address.address {
        Some(core::address::Address::SocketAddress(socket)) => {
            let (host, port) = host_port(socket)?;
            let ip: IpAddr =
                host.parse().map_err(|_| Problem::invalid(format_args!("bad address {host:?}")))?;
            Ok(SocketAddr::new(ip, port))
        }
        _ => Err(Problem::unsupported("unsupported_address", "not a socket address")),
    }
}

pub(super) fn additional(addresses: &[endpoint::endpoint::AdditionalAddress]) -> Result<Vec<SocketAddr>> {
    addresses.iter().filter_map(|additional| additional.address.as_ref()).map(plain_address).collect()
}

/// Text of an inline data source. Files and environment variables belong to Envoy's own bootstrap.
pub(super) fn inline(source: &core::DataSource) -> Result<Vec<u8>> {
    use core::data_source::Specifier;
    match &source.specifier {
        Some(Specifier::InlineString(text)) => Ok(text.clone().into_bytes()),
        Some(Specifier::InlineBytes(bytes)) => Ok(bytes.clone()),
        Some(Specifier::Filename(name)) => {
            Err(Problem::unsupported("unsupported_source", format!("file:{name}")))
        }
        Some(Specifier::EnvironmentVariable(name)) => {
            Err(Problem::unsupported("unsupported_source", format!("environment:{name}")))
        }
        None => Ok(Vec::new()),
    }
}

pub(super) fn inline_text(source: &core::DataSource) -> Result<String> {
    String::from_utf8(inline(source)?).map_err(|_| Problem::invalid("not UTF-8"))
}

/// A string under `filter` / `key` of a metadata struct.
pub(super) fn metadata_text<'a>(
    metadata: Option<&'a core::Metadata>,
    filter: &str,
    key: &str,
) -> Option<&'a str> {
    text(metadata?.filter_metadata.get(filter)?.fields.get(key)?)
}

pub(super) fn text(value: &protobuf::Value) -> Option<&str> {
    match &value.kind {
        Some(protobuf::value::Kind::StringValue(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn proto(value: &MetadataValue) -> protobuf::Value {
    use protobuf::value::Kind;
    let kind = match value {
        MetadataValue::Null => Kind::NullValue(0),
        MetadataValue::Bool(value) => Kind::BoolValue(*value),
        MetadataValue::Number(value) => Kind::NumberValue(*value),
        MetadataValue::String(value) => Kind::StringValue(value.to_string()),
        MetadataValue::List(values) => {
            Kind::ListValue(protobuf::ListValue { values: values.iter().map(proto).collect() })
        }
        MetadataValue::Struct(fields) => Kind::StructValue(protobuf::Struct {
            fields: fields.iter().map(|(key, value)| (key.to_string(), proto(value))).collect(),
        }),
    };
    protobuf::Value { kind: Some(kind) }
}

/// Structs by the filter that told them; nothing else can be there.
pub(super) fn metadata_proto<'a>(
    filters: impl Iterator<Item = &'a (Arc<str>, MetadataValue)>,
) -> core::Metadata {
    let known = filters.filter_map(|(filter, value)| match proto(value).kind {
        Some(protobuf::value::Kind::StructValue(fields)) => Some((filter.to_string(), fields)),
        _ => None,
    });
    core::Metadata { filter_metadata: known.collect(), ..Default::default() }
}

/// Metadata as the model has it.
pub(super) fn structure(fields: protobuf::Struct) -> MetadataValue {
    MetadataValue::Struct(
        fields.fields.into_iter().map(|(key, value)| (key.into(), metadata(value))).collect(),
    )
}

fn metadata(value: protobuf::Value) -> MetadataValue {
    use protobuf::value::Kind;
    match value.kind {
        None | Some(Kind::NullValue(_)) => MetadataValue::Null,
        Some(Kind::BoolValue(value)) => MetadataValue::Bool(value),
        Some(Kind::NumberValue(value)) => MetadataValue::Number(value),
        Some(Kind::StringValue(value)) => MetadataValue::String(value.into()),
        Some(Kind::ListValue(list)) => MetadataValue::List(list.values.into_iter().map(metadata).collect()),
        Some(Kind::StructValue(fields)) => structure(fields),
    }
}
