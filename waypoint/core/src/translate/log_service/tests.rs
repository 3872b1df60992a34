use super::*;
use crate::translate::pb::core;
use crate::translate::tests::{outcome, pack};
use otlp::any_value::Value;

fn target() -> Option<core::GrpcService> {
    use core::grpc_service::{EnvoyGrpc, TargetSpecifier};
    let envoy = EnvoyGrpc { cluster_name: "outbound|4317||otel".into(), ..Default::default() };
    Some(core::GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(envoy)),
        ..Default::default()
    })
}

fn common() -> grpc_log::CommonGrpcAccessLogConfig {
    grpc_log::CommonGrpcAccessLogConfig {
        log_name: "otel_envoy_accesslog".into(),
        grpc_service: target(),
        transport_api_version: core::ApiVersion::V3 as i32,
        filter_state_objects_to_log: vec!["upstream_peer".into()],
        ..Default::default()
    }
}

fn text(text: &str) -> otlp::AnyValue {
    otlp::AnyValue { value: Some(Value::StringValue(text.into())) }
}

fn pair(key: &str, value: otlp::AnyValue) -> otlp::KeyValueList {
    let pair = otlp::KeyValue { key: key.into(), value: Some(value), ..Default::default() };
    otlp::KeyValueList { values: vec![pair] }
}

#[test]
fn opentelemetry_as_istiod_sends_it() {
    let mut warnings = Warnings::default();
    let config = OpenTelemetryAccessLogConfig {
        common_config: Some(common()),
        body: Some(text("%RESPONSE_CODE%")),
        attributes: Some(pair("a", text("%PROTOCOL%"))),
        disable_builtin_labels: true,
        ..Default::default()
    };
    let service = opentelemetry(&pack(&config), &mut warnings).unwrap();
    assert_eq!((&*service.log_name, &*service.collector.path), ("otel_envoy_accesslog", OTLP));
    assert_eq!((&*service.collector.cluster, service.batch_bytes), ("outbound|4317||otel", 16 << 10));
    let LogProtocol::OpenTelemetry(log) = &service.protocol else { panic!("{service:?}") };
    assert!(log.grpc && !log.builtin_labels && log.body.is_some());
    assert_eq!(log.attributes.len(), 1);
    assert!(warnings.into_list().is_empty());
}

#[test]
fn entries_of_http_and_tcp() {
    let mut warnings = Warnings::default();
    let config = grpc_log::HttpGrpcAccessLogConfig {
        common_config: Some(common()),
        additional_request_headers_to_log: vec!["X-Tenant".into()],
        ..Default::default()
    };
    let service = http(&pack(&config), &mut warnings).unwrap();
    assert_eq!(&*service.collector.path, STREAM);
    let LogProtocol::Http(entry) = &service.protocol else { panic!("{service:?}") };
    assert_eq!(
        (&*entry.request_headers, &*entry.filter_state),
        (&["x-tenant".parse().unwrap()][..], &["upstream_peer".into()][..])
    );
    let config = grpc_log::TcpGrpcAccessLogConfig { common_config: Some(common()) };
    let service = tcp(&pack(&config), &mut warnings).unwrap();
    assert!(matches!(service.protocol, LogProtocol::Tcp(_)));
}

#[test]
fn what_cannot_be_honoured_or_read() {
    let number = otlp::AnyValue { value: Some(Value::IntValue(1)) };
    let google = core::grpc_service::TargetSpecifier::GoogleGrpc(Default::default());
    let google = core::GrpcService { target_specifier: Some(google), ..Default::default() };
    let otel = OpenTelemetryAccessLogConfig { common_config: Some(common()), ..Default::default() };
    let cases = [
        (
            OpenTelemetryAccessLogConfig { body: Some(number.clone()), ..otel.clone() },
            "invalid body: neither text, list nor keys and values",
        ),
        (
            OpenTelemetryAccessLogConfig { attributes: Some(pair("k", number.clone())), ..otel.clone() },
            "invalid attributes.k: neither text, list nor keys and values",
        ),
        (
            OpenTelemetryAccessLogConfig { body: Some(text("%NOPE%")), ..otel.clone() },
            "invalid body: unknown access log operator %NOPE%",
        ),
        (
            OpenTelemetryAccessLogConfig { resource_attributes: Some(pair("k", number)), ..otel.clone() },
            "unsupported unsupported_resource_attribute{k}",
        ),
        (OpenTelemetryAccessLogConfig::default(), "invalid : no grpc_service"),
        (
            OpenTelemetryAccessLogConfig { grpc_service: Some(google), ..otel },
            "unsupported unsupported_exporter{google_grpc}",
        ),
    ];
    for (config, expect) in cases {
        assert_eq!(outcome(opentelemetry(&pack(&config), &mut Warnings::default())), expect);
    }
}
