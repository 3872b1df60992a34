//! Tracing of one connection manager. istiod: `pilot/pkg/networking/core/tracing.go`.
//!
//! Telemetry only: a provider we do not speak is named in a warning and sends no spans; its chain goes on.

use super::pb::{core, hcm, metadata, protobuf::Any, trace, tracing as pb, types};
use super::problem::{At, Problem, Result, Warnings};
use super::{format, values, wire};
use crate::model::access_log::{Format, LogHeader, Operator, Segment};
use crate::model::route::Fraction;
use crate::model::tracing::{
    Collector, CustomTag, OpenTelemetry, Sampling, Tracing, TracingProvider, Zipkin,
};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

const MAX_PATH_LENGTH: u32 = 256;
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// `None` without a provider: Envoy then starts no span and touches no header.
pub(super) fn tracing(
    tracing: hcm::http_connection_manager::Tracing,
    warnings: &mut Warnings,
) -> Result<Option<Arc<Tracing>>> {
    let Some(provider) = tracing.provider.as_ref() else { return Ok(None) };
    let name = provider.name.clone();
    let trace::tracing::http::ConfigType::TypedConfig(any) =
        provider.config_type.as_ref().ok_or_else(|| Problem::invalid("provider without configuration"))?;
    let hash = wire::hash(&any.value);
    let provider = match self::provider(any, warnings).at("provider") {
        Ok(provider) => provider,
        Err(Problem::Unsupported { kind, what }) => {
            warnings.push(format!(
                "tracing provider {name} is not honoured: {kind}{{{what}}}; no spans are sent"
            ));
            return Ok(None);
        }
        Err(invalid) => return Err(invalid),
    };
    let sampling = Sampling {
        client: percent(tracing.client_sampling.as_ref()),
        random: percent(tracing.random_sampling.as_ref()),
        overall: percent(tracing.overall_sampling.as_ref()),
    };
    Ok(Some(Arc::new(Tracing {
        content_hash: hash,
        provider,
        sampling,
        propagate: !tracing.no_context_propagation,
        max_path_length: tracing.max_path_tag_length.map_or(MAX_PATH_LENGTH, |max| max.value) as usize,
        tags: self::tags(tracing.custom_tags, warnings)?,
    })))
}

/// Missing means all.
fn percent(value: Option<&types::Percent>) -> Fraction {
    let percent = value.map_or(100.0, |percent| percent.value).clamp(0.0, 100.0);
    Fraction { numerator: (percent * 100.0).round() as u32, denominator: 10_000 }
}

fn provider(any: &Any, warnings: &mut Warnings) -> Result<TracingProvider> {
    match wire::type_name(any) {
        "envoy.config.trace.v3.ZipkinConfig" => {
            zipkin(wire::unpack(any, warnings)?).map(TracingProvider::Zipkin)
        }
        "envoy.config.trace.v3.OpenTelemetryConfig" => {
            opentelemetry(wire::unpack(any, warnings)?, warnings).map(TracingProvider::OpenTelemetry)
        }
        other => Err(Problem::unsupported("unsupported_tracer", other)),
    }
}

fn zipkin(mut config: trace::ZipkinConfig) -> Result<Zipkin> {
    use trace::zipkin_config::{CollectorEndpointVersion as Version, TraceContextOption};
    let version: Version = wire::enum_value(config.collector_endpoint_version, "collector_endpoint_version")?;
    if version != Version::HttpJson {
        return Err(Problem::unsupported("unsupported_tracer", version.as_str_name()));
    }
    let context: TraceContextOption = wire::enum_value(config.trace_context_option, "trace_context_option")?;
    let collector = match config.collector_service.take() {
        Some(service) => http_service(service)?,
        None => {
            let host = Some(&config.collector_hostname).filter(|host| !host.is_empty());
            Collector {
                cluster: config.collector_cluster.as_str().into(),
                authority: values::header_value(host.unwrap_or(&config.collector_cluster))?,
                path: config.collector_endpoint.as_str().into(),
                headers: Vec::new(),
                timeout: None,
            }
        }
    };
    Ok(Zipkin {
        collector,
        trace_id_128bit: config.trace_id_128bit,
        shared_span_context: config.shared_span_context.is_none_or(|shared| shared.value),
        w3c: context == TraceContextOption::UseB3WithW3cPropagation,
    })
}

fn opentelemetry(mut config: trace::OpenTelemetryConfig, warnings: &mut Warnings) -> Result<OpenTelemetry> {
    if let Some(sampler) = config.sampler.take() {
        return Err(Problem::unsupported("unsupported_sampler", sampler.name));
    }
    for detector in std::mem::take(&mut config.resource_detectors) {
        warnings
            .push(format!("resource detector {} is not honoured: spans lack its attributes", detector.name));
    }
    let service_name = std::mem::take(&mut config.service_name).into();
    match (config.grpc_service.take(), config.http_service.take()) {
        (Some(service), _) => {
            Ok(OpenTelemetry { collector: grpc_service(service, EXPORT)?, grpc: true, service_name })
        }
        (None, Some(service)) => {
            Ok(OpenTelemetry { collector: http_service(service)?, grpc: false, service_name })
        }
        (None, None) => Err(Problem::unsupported("unsupported_exporter", "none")),
    }
}

pub(super) fn grpc_service(mut service: core::GrpcService, path: &str) -> Result<Collector> {
    use core::grpc_service::TargetSpecifier;
    let timeout = values::limit(service.timeout.take().as_ref()).at("timeout")?;
    let headers = std::mem::take(&mut service.initial_metadata).into_iter();
    let headers =
        headers.map(|header| self::header(&header)).collect::<Result<_>>().at("initial_metadata")?;
    let Some(TargetSpecifier::EnvoyGrpc(target)) = service.target_specifier.take() else {
        return Err(Problem::unsupported("unsupported_exporter", "google_grpc"));
    };
    let authority = if target.authority.is_empty() { &target.cluster_name } else { &target.authority };
    Ok(Collector {
        authority: values::header_value(authority)?,
        cluster: target.cluster_name.as_str().into(),
        path: path.into(),
        headers,
        timeout,
    })
}

pub(super) fn http_service(mut service: core::HttpService) -> Result<Collector> {
    use core::http_uri::HttpUpstreamType::Cluster;
    let uri = service.http_uri.take().ok_or_else(|| Problem::invalid("no http_uri"))?;
    let parsed: http::Uri =
        uri.uri.parse().map_err(|_| Problem::invalid(format_args!("bad uri {:?}", uri.uri)))?;
    let Some(Cluster(cluster)) = uri.http_upstream_type else {
        return Err(Problem::invalid("no cluster"));
    };
    let headers = service.request_headers_to_add.iter().filter_map(|option| option.header.as_ref());
    Ok(Collector {
        authority: values::header_value(
            parsed.authority().map_or(&*cluster, |authority| authority.as_str()),
        )?,
        path: parsed.path_and_query().map_or("/", |path| path.as_str()).into(),
        cluster: cluster.into(),
        headers: headers.map(header).collect::<Result<_>>().at("request_headers_to_add")?,
        timeout: values::limit(uri.timeout.as_ref()).at("timeout")?,
    })
}

fn header(header: &core::HeaderValue) -> Result<(HeaderName, HeaderValue)> {
    if header.value.contains('%') {
        return Err(Problem::unsupported("unsupported_exporter", format!("header {}", header.key)));
    }
    Ok((values::header_name(&header.key)?, values::header_value(&header.value)?))
}

pub(super) fn tags(tags: Vec<pb::CustomTag>, warnings: &mut Warnings) -> Result<Vec<CustomTag>> {
    let tags = tags.into_iter().filter_map(|tag| self::tag(tag, warnings).transpose());
    tags.collect::<Result<_>>().at("custom_tags")
}

/// Every kind of tag is a format of one operator.
fn tag(tag: pb::CustomTag, warnings: &mut Warnings) -> Result<Option<CustomTag>> {
    use pb::custom_tag::Type;
    let operator = |operator| Format { segments: vec![Segment::Operator { operator, truncate: None }] };
    let (value, default) = match tag.r#type {
        Some(Type::Literal(literal)) => {
            (Format { segments: vec![Segment::Literal(literal.value.into())] }, String::new())
        }
        Some(Type::Environment(variable)) => {
            (operator(Operator::Environment(variable.name.into())), variable.default_value)
        }
        Some(Type::RequestHeader(header)) => {
            let name = LogHeader::Name(values::header_name(&header.name)?);
            (operator(Operator::Request { name, alternative: None }), header.default_value)
        }
        Some(Type::Metadata(source)) => match dynamic(&source) {
            Some(dynamic) => (operator(dynamic), source.default_value),
            None => {
                warnings.push(format!("tag {} is left out: its metadata is not kept", tag.tag));
                return Ok(None);
            }
        },
        Some(Type::Value(text)) => (format::parse(&text)?, String::new()),
        None => return Err(Problem::invalid("tag without value")),
    };
    Ok(Some(CustomTag { name: tag.tag.into(), value: Arc::new(value), default: default.into() }))
}

/// Metadata of the request; of routes, clusters and hosts none is kept.
fn dynamic(source: &pb::custom_tag::Metadata) -> Option<Operator> {
    use metadata::metadata_key::path_segment::Segment::Key;
    use metadata::metadata_kind::Kind;
    let kind = source.kind.as_ref().and_then(|kind| kind.kind.as_ref());
    let key = source.metadata_key.as_ref().filter(|_| matches!(kind, None | Some(Kind::Request(_))))?;
    let path = key.path.iter().map(|one| match &one.segment {
        Some(Key(key)) => Some(key.as_str().into()),
        Some(_) | None => None,
    });
    Some(Operator::DynamicMetadata { filter: key.key.as_str().into(), path: path.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests;
