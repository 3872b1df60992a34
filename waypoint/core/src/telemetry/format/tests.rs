use super::*;
use crate::failure::{ResponseFlag, ResponseFlags};
use crate::model::workload::Workload;
use crate::telemetry::record::{Downstream, RequestHead, ResponseHead, Upstream};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs =
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    pairs.collect()
}

fn one(operator: Operator) -> Format {
    Format { segments: vec![Segment::Operator { operator, truncate: None }] }
}

fn printed(format: &Format, record: &RequestRecord<'_>) -> String {
    let mut out = String::new();
    text(format, record, &mut out);
    out
}

#[test]
fn every_kind_of_value() {
    let (request, response) = (headers(&[("user-agent", "curl"), ("empty", "")]), headers(&[("x-a", "1")]));
    let peer: Arc<str> = "spiffe://td/ns/a/sa/b".into();
    let workload =
        Arc::new(Workload { uid: "K//Pod/a/b".into(), canonical_name: "web".into(), ..Workload::default() });
    let record = RequestRecord {
        duration: Duration::from_micros(7_900),
        request: Some(RequestHead {
            method: "GET",
            path: "/p?q=1",
            authority: "host:80",
            scheme: "http",
            headers: &request,
            grpc: false,
        }),
        response: Some(ResponseHead { status: 503, headers: &response, trailers: None }),
        flags: ResponseFlags::of(ResponseFlag::UF).with(ResponseFlag::URX),
        details: Some("via_upstream"),
        upstream: Upstream {
            host: Some("envoy://connect_originate/10.0.0.1:80"),
            attempts: 3,
            ..Upstream::default()
        },
        downstream: Downstream {
            local_address: Some("10.96.0.1:80".parse().unwrap()),
            direct_remote_address: Some("[fd00::1]:99".parse().unwrap()),
            peer_principal: Some(&peer),
            workload: Some(&workload),
            ..Downstream::default()
        },
        grpc_status: Some(5),
        ..RequestRecord::new(UNIX_EPOCH + Duration::from_millis(1_767_225_600_123))
    };
    let name = |text: &'static str| LogHeader::Name(HeaderName::from_static(text));
    let request_of = |name| Operator::Request { name, alternative: None };
    let state = |key: &str, field: Option<&str>| Operator::FilterState {
        key: key.into(),
        field: field.map(Into::into),
    };
    let cases = [
        (Operator::StartTime(None), "2026-01-01T00:00:00.123Z"),
        (Operator::StartTime(Some("%s".into())), "1767225600"),
        (request_of(LogHeader::Method), "GET"),
        (request_of(LogHeader::Path), "/p?q=1"),
        (Operator::RequestWithoutQuery { name: LogHeader::Path, alternative: None }, "/p"),
        (
            Operator::Request { name: name("x-envoy-original-path"), alternative: Some(LogHeader::Path) },
            "/p?q=1",
        ),
        (request_of(name("user-agent")), "curl"),
        (request_of(name("empty")), ""),
        (request_of(name("missing")), "-"),
        (Operator::Response { name: LogHeader::Status, alternative: None }, "503"),
        (Operator::Response { name: name("x-a"), alternative: None }, "1"),
        (Operator::Trailer { name: name("x-a"), alternative: None }, "-"),
        (Operator::Protocol, "HTTP/1.1"),
        (Operator::ResponseCode, "503"),
        (Operator::ResponseFlags, "URX,UF"),
        (Operator::ResponseCodeDetails, "via_upstream"),
        (Operator::Duration, "7"),
        (Operator::ResponseDuration, "-"),
        (Operator::UpstreamHost, "envoy://connect_originate/10.0.0.1:80"),
        (Operator::UpstreamRequestAttemptCount, "3"),
        (Operator::DownstreamLocalAddress, "10.96.0.1:80"),
        (Operator::DownstreamDirectRemoteAddress { port: false }, "fd00::1"),
        (Operator::DownstreamPeerUriSan, "spiffe://td/ns/a/sa/b"),
        (state("io.istio.peer_principal", None), "spiffe://td/ns/a/sa/b"),
        (state("downstream_peer_obj", Some("app")), "web"),
        (state("upstream_peer_obj", Some("app")), "-"),
        (Operator::GrpcStatus, "NotFound"),
        (Operator::GrpcStatusNumber, "5"),
        (Operator::Unavailable("CEL".into()), "-"),
        (Operator::Environment("NO_SUCH_VARIABLE_HERE".into()), "-"),
    ];
    for (operator, expect) in cases {
        assert_eq!(printed(&one(operator.clone()), &record), expect, "{operator:?}");
    }
}

#[test]
fn truncation_never_splits_a_character() {
    let request = headers(&[]);
    let head =
        RequestHead { method: "GÉT", path: "", authority: "", scheme: "", headers: &request, grpc: false };
    let record = RequestRecord { request: Some(head), ..RequestRecord::new(UNIX_EPOCH) };
    for (length, expect) in [(0, "<>"), (1, "<G>"), (2, "<G>"), (3, "<GÉ>"), (99, "<GÉT>")] {
        let operator = Operator::Request { name: LogHeader::Method, alternative: None };
        let format = Format {
            segments: vec![
                Segment::Literal("<".into()),
                Segment::Operator { operator, truncate: Some(length) },
                Segment::Literal(">".into()),
            ],
        };
        assert_eq!(printed(&format, &record), expect, "{length}");
    }
}

#[test]
fn json_keeps_types_and_leaves_out_empties() {
    let record = RequestRecord { bytes_sent: 42, ..RequestRecord::new(UNIX_EPOCH) };
    let value = |operator| JsonField::Value(Arc::new(one(operator)));
    let mixed = Format {
        segments: vec![
            Segment::Literal("n=".into()),
            Segment::Operator { operator: Operator::BytesSent, truncate: None },
        ],
    };
    let fields = vec![
        ("bytes".into(), value(Operator::BytesSent)),
        ("route".into(), value(Operator::RouteName)),
        ("text".into(), JsonField::Value(Arc::new(mixed))),
        ("list".into(), JsonField::List(vec![value(Operator::ResponseFlags)])),
    ];
    assert_eq!(
        json(&fields, false, &record).to_string(),
        r#"{"bytes":42,"route":null,"text":"n=42","list":["-"]}"#
    );
    assert_eq!(json(&fields, true, &record).to_string(), r#"{"bytes":42,"text":"n=42","list":["-"]}"#);
}
