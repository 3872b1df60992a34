use super::*;
use crate::translate::pb::protobuf;
use crate::translate::tests::pack;

fn of(provider: Any) -> (Option<Arc<Tracing>>, Vec<String>) {
    let provider = trace::tracing::Http {
        name: "p".into(),
        config_type: Some(trace::tracing::http::ConfigType::TypedConfig(provider)),
    };
    let config = hcm::http_connection_manager::Tracing {
        random_sampling: Some(types::Percent { value: 12.5 }),
        custom_tags: vec![pb::CustomTag {
            tag: "env".into(),
            r#type: Some(pb::custom_tag::Type::Literal(pb::custom_tag::Literal { value: "test".into() })),
        }],
        provider: Some(provider),
        ..Default::default()
    };
    let mut warnings = Warnings::default();
    let translated = tracing(config, &mut warnings).unwrap();
    (translated, warnings.into_list().into_iter().map(|warning| warning.text).collect())
}

fn zipkin_config() -> trace::ZipkinConfig {
    let uri = core::HttpUri {
        uri: "http://zipkin.observability:9411/api/v2/spans".into(),
        http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster("outbound|9411||zipkin".into())),
        ..Default::default()
    };
    trace::ZipkinConfig {
        collector_endpoint_version: 1,
        trace_id_128bit: true,
        shared_span_context: Some(protobuf::BoolValue { value: false }),
        collector_service: Some(core::HttpService { http_uri: Some(uri), ..Default::default() }),
        ..Default::default()
    }
}

#[test]
fn zipkin_as_istiod_sends_it() {
    let (tracing, warnings) = of(pack(&zipkin_config()));
    let tracing = tracing.unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(tracing.sampling.random, Fraction { numerator: 1250, denominator: 10_000 });
    assert_eq!(tracing.sampling.overall, Fraction { numerator: 10_000, denominator: 10_000 });
    assert_eq!((&*tracing.tags[0].name, tracing.max_path_length), ("env", 256));
    let TracingProvider::Zipkin(zipkin) = &tracing.provider else { panic!("{tracing:?}") };
    assert_eq!(
        (&*zipkin.collector.cluster, &*zipkin.collector.path),
        ("outbound|9411||zipkin", "/api/v2/spans")
    );
    assert_eq!(zipkin.collector.authority, "zipkin.observability:9411");
    assert_eq!((zipkin.shared_span_context, zipkin.w3c), (false, false));
}

#[test]
fn opentelemetry_as_istiod_sends_it() {
    let target = core::grpc_service::EnvoyGrpc {
        cluster_name: "outbound|4317||otel".into(),
        authority: "otel.observability".into(),
        ..Default::default()
    };
    let service = core::GrpcService {
        target_specifier: Some(core::grpc_service::TargetSpecifier::EnvoyGrpc(target)),
        ..Default::default()
    };
    let config = trace::OpenTelemetryConfig {
        grpc_service: Some(service),
        service_name: "waypoint.shop".into(),
        resource_detectors: vec![core::TypedExtensionConfig { name: "env".into(), typed_config: None }],
        ..Default::default()
    };
    let (tracing, warnings) = of(pack(&config));
    let tracing = tracing.unwrap();
    let TracingProvider::OpenTelemetry(otel) = &tracing.provider else { panic!("{tracing:?}") };
    assert_eq!((&*otel.service_name, otel.grpc, &*otel.collector.path), ("waypoint.shop", true, EXPORT));
    assert_eq!(warnings, ["resource detector env is not honoured: spans lack its attributes"]);
}

#[test]
fn what_we_do_not_speak_is_named() {
    for (provider, expect) in [
        (pack(&trace::DatadogConfig::default()), "unsupported_tracer{envoy.config.trace.v3.DatadogConfig}"),
        (pack(&trace::ZipkinConfig { collector_endpoint_version: 2, ..zipkin_config() }), "HTTP_PROTO"),
        (pack(&trace::OpenTelemetryConfig::default()), "unsupported_exporter{none}"),
    ] {
        let (tracing, warnings) = of(provider);
        assert!(tracing.is_none());
        assert!(warnings[0].contains("tracing provider p") && warnings[0].contains(expect), "{warnings:?}");
    }
}
