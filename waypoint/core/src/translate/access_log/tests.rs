use super::*;
use crate::failure::ResponseFlag;
use crate::translate::tests::{outcome, pack};
use accesslog::access_log::ConfigType::TypedConfig;
use accesslog::access_log_filter::FilterSpecifier;

fn file(
    format: Option<file_log::file_access_log::AccessLogFormat>,
    filter: Option<FilterSpecifier>,
) -> accesslog::AccessLog {
    let config = file_log::FileAccessLog { path: "/dev/stdout".into(), access_log_format: format };
    accesslog::AccessLog {
        name: "envoy.access_loggers.file".into(),
        filter: filter.map(|one| accesslog::AccessLogFilter { filter_specifier: Some(one) }),
        config_type: Some(TypedConfig(pack(&config))),
    }
}

fn text_format(text: &str) -> Option<file_log::file_access_log::AccessLogFormat> {
    let source = core::DataSource {
        specifier: Some(core::data_source::Specifier::InlineString(text.into())),
        ..Default::default()
    };
    let format = core::substitution_format_string::Format::TextFormatSource(source);
    let format = core::SubstitutionFormatString { format: Some(format), ..Default::default() };
    Some(file_log::file_access_log::AccessLogFormat::LogFormat(format))
}

fn flags(flags: &[&str]) -> FilterSpecifier {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    FilterSpecifier::ResponseFlagFilter(accesslog::ResponseFlagFilter { flags })
}

fn expression(text: &str) -> FilterSpecifier {
    let config = cel_filter::ExpressionFilter { expression: text.into(), ..Default::default() };
    FilterSpecifier::ExtensionFilter(accesslog::ExtensionFilter {
        name: "cel".into(),
        config_type: Some(accesslog::extension_filter::ConfigType::TypedConfig(pack(&config))),
    })
}

#[test]
fn istios_default_format_is_used_when_none_is_given() {
    for format in [None, text_format("")] {
        let logs = loggers(vec![file(format, None)], &mut Warnings::default()).unwrap();
        let LogOutput::Lines { sink: AccessLogSink::Stdout, format: AccessLogFormat::Text(format) } =
            &logs[0].output
        else {
            panic!("{logs:?}")
        };
        assert_eq!(**format, format::parse(DEFAULT_FORMAT).unwrap());
        assert_eq!(format.segments.len(), 49);
    }
}

#[test]
fn telemetry_we_lack_is_a_warning() {
    let mut warnings = Warnings::default();
    let cel = expression("request.nope == 1");
    let empty = accesslog::ExtensionFilter { name: "empty".into(), ..Default::default() };
    let empty = FilterSpecifier::ExtensionFilter(empty);
    let other = accesslog::AccessLog {
        name: "otel".into(),
        config_type: Some(TypedConfig(pack(&core::Node::default()))),
        ..Default::default()
    };
    let logs =
        vec![file(None, Some(cel)), file(None, Some(empty)), other, file(text_format("%CEL(x)%"), None)];
    assert_eq!(loggers(logs, &mut warnings).unwrap().len(), 1);
    let texts: Vec<String> = warnings.into_list().into_iter().map(|warning| warning.text).collect();
    assert_eq!(
        texts,
        [
            "access logger envoy.access_loggers.file is not honoured: unsupported_expression{request.nope == 1: unknown attribute request.nope}",
            "access logger envoy.access_loggers.file is not honoured: unsupported_log_filter{empty}",
            "access logger otel is not honoured: unsupported_access_log{envoy.config.core.v3.Node}",
            "access log operator %CEL(x: unknown attribute x)% has no value here and prints as missing",
        ]
    );
}

#[test]
fn rejections() {
    let cases = [
        (
            file(text_format("%NOPE%"), None),
            "invalid access_log[0].log_format: unknown access log operator %NOPE%",
        ),
        (file(None, Some(flags(&["XX"]))), "invalid access_log[0].filter: unknown response flag \"XX\""),
    ];
    for (log, expect) in cases {
        assert_eq!(outcome(loggers(vec![log], &mut Warnings::default())), expect);
    }
}

#[test]
fn filters() {
    let status = |op: accesslog::comparison_filter::Op| {
        let value = Some(core::RuntimeUInt32 { default_value: 400, runtime_key: "istio.io/unset".into() });
        let comparison = Some(accesslog::ComparisonFilter { op: op as i32, value });
        FilterSpecifier::StatusCodeFilter(accesslog::StatusCodeFilter { comparison })
    };
    let translate = |one: FilterSpecifier| {
        filter(accesslog::AccessLogFilter { filter_specifier: Some(one) }, 0, &mut Warnings::default())
            .unwrap()
    };
    let got = translate(status(accesslog::comparison_filter::Op::Ge));
    assert!(matches!(got, AccessLogFilter::Status { op: Comparison::Ge, value: 400 }), "{got:?}");
    let got = translate(flags(&["NR"]));
    assert!(matches!(&got, AccessLogFilter::ResponseFlags(flags) if flags == &[ResponseFlag::NR]), "{got:?}");
    let got = translate(expression("response.code >= 400"));
    assert!(matches!(&got, AccessLogFilter::Expression(_)), "{got:?}");
    // Only flags we never raise: nothing is logged, not everything.
    let got = translate(flags(&["LH"]));
    assert!(matches!(&got, AccessLogFilter::Or(none) if none.is_empty()), "{got:?}");
}

#[test]
fn json_formats_keep_their_shape() {
    let value = |kind| protobuf::Value { kind: Some(kind) };
    let string = |text: &str| value(protobuf::value::Kind::StringValue(text.into()));
    let inner = protobuf::Struct { fields: [("code".to_owned(), string("%RESPONSE_CODE%"))].into() };
    let list = protobuf::ListValue { values: vec![string("%PROTOCOL%")] };
    let fields = protobuf::Struct {
        fields: [
            ("b".to_owned(), value(protobuf::value::Kind::StructValue(inner))),
            ("a".to_owned(), value(protobuf::value::Kind::ListValue(list))),
        ]
        .into(),
    };
    let AccessLogFormat::Json { fields, omit_empty: false } =
        json(&fields, false, &mut Warnings::default()).unwrap()
    else {
        panic!("not JSON");
    };
    assert!(matches!(&fields[0], (name, JsonField::List(items)) if &**name == "a" && items.len() == 1));
    assert!(matches!(&fields[1], (name, JsonField::Object(items)) if &**name == "b" && items.len() == 1));
    let bad =
        protobuf::Struct { fields: [("x".to_owned(), value(protobuf::value::Kind::BoolValue(true)))].into() };
    let expect = "invalid x: JSON format value is neither text, number, list nor object";
    assert_eq!(outcome(json(&bad, false, &mut Warnings::default())), expect);
}

/// The line users know, byte for byte.
#[test]
fn istios_default_line() {
    use crate::failure::ResponseFlags;
    use crate::telemetry::access_log::line;
    use crate::telemetry::record::{Downstream, RequestHead, RequestRecord, ResponseHead, Upstream};
    use http::{HeaderMap, HeaderName, HeaderValue};
    use std::time::{Duration, UNIX_EPOCH};
    let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    };
    let request = headers(&[("user-agent", "curl/8.0"), ("x-request-id", "id-1")]);
    let response = headers(&[("x-envoy-upstream-service-time", "4")]);
    let record = RequestRecord {
        duration: Duration::from_millis(5),
        request: Some(RequestHead {
            method: "GET",
            path: "/reviews/0",
            authority: "reviews:9080",
            scheme: "http",
            headers: &request,
            grpc: false,
        }),
        response: Some(ResponseHead { status: 200, headers: &response, trailers: None }),
        flags: ResponseFlags::NONE,
        details: Some("via_upstream"),
        bytes_sent: 295,
        upstream: Upstream {
            cluster: Some("inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local"),
            host: Some("envoy://connect_originate/10.244.1.9:9080"),
            ..Upstream::default()
        },
        downstream: Downstream {
            local_address: Some("10.96.12.7:9080".parse().unwrap()),
            remote_address: Some("10.244.1.4:41000".parse().unwrap()),
            ..Downstream::default()
        },
        route_name: Some("default"),
        ..RequestRecord::new(UNIX_EPOCH + Duration::from_millis(1_767_225_600_123))
    };
    let logs = loggers(vec![file(None, None)], &mut Warnings::default()).unwrap();
    let LogOutput::Lines { format, .. } = &logs[0].output else { panic!("{logs:?}") };
    expect_test::expect![[r#"
        [2026-01-01T00:00:00.123Z] "GET /reviews/0 HTTP/1.1" 200 - via_upstream - "-" 0 295 5 4 "-" "curl/8.0" "id-1" "reviews:9080" "envoy://connect_originate/10.244.1.9:9080" inbound-vip|9080|http|reviews.bookinfo.svc.cluster.local - 10.96.12.7:9080 10.244.1.4:41000 - default
    "#]].assert_eq(&line(format, &record));
}
