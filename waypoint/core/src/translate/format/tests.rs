use super::*;
use crate::translate::tests::outcome;

fn only(text: &str) -> Segment {
    let mut format = parse(text).unwrap();
    assert_eq!(format.segments.len(), 1, "{text}");
    format.segments.remove(0)
}

fn operator_of(text: &str) -> Operator {
    match only(text) {
        Segment::Operator { operator, truncate: None } => operator,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn operators() {
    let name = |text: &'static str| LogHeader::Name(http::HeaderName::from_static(text));
    let cases = [
        ("%REQ(:METHOD)%", Operator::Request { name: LogHeader::Method, alternative: None }),
        (
            "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
            Operator::Request { name: name("x-envoy-original-path"), alternative: Some(LogHeader::Path) },
        ),
        ("%RESP(:status)%", Operator::Response { name: LogHeader::Status, alternative: None }),
        ("%TRAILER(grpc-status)%", Operator::Trailer { name: name("grpc-status"), alternative: None }),
        (
            "%REQ_WITHOUT_QUERY(:PATH)%",
            Operator::RequestWithoutQuery { name: LogHeader::Path, alternative: None },
        ),
        ("%START_TIME%", Operator::StartTime(None)),
        ("%START_TIME(%s.%3f)%", Operator::StartTime(Some("%s.%3f".into()))),
        ("%START_TIME(%Y (%m))%", Operator::StartTime(Some("%Y (%m)".into()))),
        ("%UPSTREAM_CLUSTER%", Operator::UpstreamCluster { raw: false }),
        ("%UPSTREAM_CLUSTER_RAW%", Operator::UpstreamCluster { raw: true }),
        ("%GRPC_STATUS(NUMBER)%", Operator::GrpcStatusNumber),
        ("%GRPC_STATUS%", Operator::GrpcStatus),
        ("%ENVIRONMENT(POD_NAME)%", Operator::Environment("POD_NAME".into())),
        (
            "%FILTER_STATE(downstream_peer_obj:FIELD:app)%",
            Operator::FilterState { key: "downstream_peer_obj".into(), field: Some("app".into()) },
        ),
        (
            "%FILTER_STATE(io.istio.peer_principal:PLAIN)%",
            Operator::FilterState { key: "io.istio.peer_principal".into(), field: None },
        ),
        (
            "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload:iss)%",
            Operator::DynamicMetadata {
                filter: "envoy.filters.http.jwt_authn".into(),
                path: ["payload".into(), "iss".into()].into(),
            },
        ),
        (
            "%METADATA(CLUSTER:istio:services)%",
            Operator::ClusterMetadata { filter: "istio".into(), path: ["services".into()].into() },
        ),
        (
            "%CEL(request.nope)%",
            Operator::Unavailable("CEL(request.nope: unknown attribute request.nope)".into()),
        ),
        (
            "%CEL(connection.id)%",
            Operator::Unavailable(
                "CEL(connection.id: attribute connection.id of expressions has no value here)".into(),
            ),
        ),
        ("%DOWNSTREAM_TLS_CIPHER%", Operator::Unavailable("DOWNSTREAM_TLS_CIPHER".into())),
        ("%UPSTREAM_PEER_URI_SAN%", Operator::Unavailable("UPSTREAM_PEER_URI_SAN".into())),
    ];
    for (text, expect) in cases {
        assert_eq!(operator_of(text), expect, "{text}");
    }
}

#[test]
fn expressions() {
    use crate::telemetry::format::{header, text as line};
    use crate::telemetry::record::RequestRecord;
    let record = RequestRecord { route_name: Some("default"), ..RequestRecord::new(std::time::UNIX_EPOCH) };
    for (text, expect) in [
        ("%CEL(route_name)%", "default"),
        ("%CEL(route_name + '(' + string(1) + ')')%!", "default(1)!"),
        ("%CEL(route_name):3%", "def"),
        ("%CEL(response.code)%", "-"),
    ] {
        let mut out = String::new();
        line(&parse(text).unwrap(), &record, &mut out);
        assert_eq!(out, expect, "{text}");
    }
    assert_eq!(
        header(&parse("a%CEL(response.code)%b").unwrap(), &record),
        "ab",
        "a header has no place for `-`"
    );
}

#[test]
fn segments() {
    let format = parse("a%%b %RESPONSE_CODE% %REQ(USER-AGENT):10%!").unwrap();
    let agent = LogHeader::Name(http::header::USER_AGENT);
    let expect = vec![
        Segment::Literal("a%b ".into()),
        Segment::Operator { operator: Operator::ResponseCode, truncate: None },
        Segment::Literal(" ".into()),
        Segment::Operator {
            operator: Operator::Request { name: agent, alternative: None },
            truncate: Some(10),
        },
        Segment::Literal("!".into()),
    ];
    assert_eq!(format.segments, expect);
    assert_eq!(parse("").unwrap().segments, vec![]);
    assert_eq!(only("100 %%"), Segment::Literal("100 %".into()));
}

#[test]
fn bad_formats_are_rejected() {
    let cases = [
        ("%NO_SUCH_THING%", "invalid : unknown access log operator %NO_SUCH_THING%"),
        ("%REQ%", "invalid : REQ needs parameters"),
        ("%REQ()%", "invalid : REQ needs parameters"),
        ("%REQ(a b)%", "invalid : bad header name \"a b\""),
        ("%RESPONSE_CODE", "invalid : unterminated operator in format at \"RESPONSE_CODE\""),
        ("100%", "invalid : unterminated operator in format at \"\""),
        ("%RESPONSE_CODE:x%", "invalid : unterminated operator in format at \"RESPONSE_CODE:x%\""),
        ("%RESPONSE_CODE(1)%", "invalid : RESPONSE_CODE takes no parameters"),
        ("%START_TIME(%Q)%", "invalid : bad time format \"%Q\""),
        ("%FILTER_STATE(a:WRONG)%", "invalid : bad FILTER_STATE(a:WRONG)"),
        ("%METADATA(NOWHERE:a)%", "invalid : bad METADATA(NOWHERE:a)"),
    ];
    for (text, expect) in cases {
        assert_eq!(outcome(parse(text)), expect, "{text}");
    }
}
