use super::*;
use crate::matching::path::{PathOutcome, normalize};
use crate::matching::view::RequestView;
use crate::model::ext_authz::{AuthzService, SentHeaders};
use crate::model::grpc_service::GrpcTarget;
use crate::model::metadata::MetadataValue;
use crate::model::route::{Fraction, HeaderMutations};
use crate::policy::ext_authz::CheckBody;
use crate::translate::pb::{core, types};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::time::{Duration, SystemTime};
use xds_client::proto::envoy::google::rpc;

fn config() -> ExtAuthz {
    ExtAuthz {
        service: AuthzService::Grpc(GrpcTarget {
            cluster: "authz".into(),
            authority: HeaderValue::from_static("authz"),
            metadata: HeaderMutations::default(),
            max_response_bytes: None,
        }),
        timeout: None,
        failure_mode_allow: false,
        failure_mode_allow_header_add: false,
        status_on_error: StatusCode::FORBIDDEN,
        body: None,
        clear_route_cache: false,
        enabled: Fraction { numerator: 100, denominator: 100 },
        enabled_metadata: None,
        deny_at_disable: false,
        headers: SentHeaders::default(),
        metadata_namespaces: vec!["jwt".into()],
        ingest_metadata: true,
        include_tls_session: true,
        max_denied_body_bytes: 0,
    }
}

fn known() -> DynamicMetadata {
    let mut metadata = DynamicMetadata::default();
    for filter in ["jwt", "rbac"] {
        let list = MetadataValue::List(vec![MetadataValue::Bool(true), MetadataValue::Number(1.5)]);
        metadata.merge(filter, [("list".into(), list), ("null".into(), MetadataValue::Null)].into());
    }
    metadata
}

/// Encodes a check of `POST http://host/a?b` with these headers and body.
fn encoded(
    config: &ExtAuthz,
    headers: &[(&str, &[u8])],
    body: Option<CheckBody<'_>>,
) -> auth::AttributeContext {
    let Ok(PathOutcome::Path(path)) = normalize("/a?b", &Default::default()) else { panic!() };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
    }
    let metadata = known();
    let source = Peer { address: "10.0.0.1:99".parse().unwrap(), principal: Some("spiffe://td/ns/a/sa/b") };
    let destination = Peer { address: "10.96.0.1:80".parse().unwrap(), principal: None };
    let connection = crate::matching::view::NetworkView {
        peer: source.principal,
        source_ip: source.address.ip(),
        destination: destination.address,
        sni: None,
        metadata: &metadata,
    };
    let view = RequestView {
        connection,
        method: "POST",
        path: &path,
        authority: "host",
        scheme: "http",
        headers: &map,
        remote_ip: source.address.ip(),
    };
    let check = Check {
        source,
        destination,
        sni: Some("name.example"),
        metadata: &metadata,
        context: &[("key".into(), "value".into())],
        start: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
        request: Some(HttpCheck { view, protocol: "HTTP/1.1", size: Some(3), body }),
    };
    let request = auth::CheckRequest::decode(encode(config, &check).as_slice()).unwrap();
    request.attributes.unwrap()
}

#[test]
fn a_check_says_who_asks_for_what() {
    let context = encoded(&config(), &[("x-request-id", b"id"), ("a", b"1"), ("a", b"2\xff")], None);
    let source = context.source.unwrap();
    assert_eq!(source.principal, "spiffe://td/ns/a/sa/b");
    let Some(core::address::Address::SocketAddress(address)) = source.address.unwrap().address else {
        panic!()
    };
    assert_eq!(address.address, "10.0.0.1");
    assert_eq!(address.port_specifier, Some(core::socket_address::PortSpecifier::PortValue(99)));
    let request = context.request.unwrap();
    assert_eq!(request.time.map(|time| (time.seconds, time.nanos)), Some((1, 500_000_000)));
    let http = request.http.unwrap();
    assert_eq!((&*http.id, &*http.method, &*http.path), ("id", "POST", "/a?b"));
    assert_eq!((&*http.host, &*http.scheme, &*http.protocol, http.size), ("host", "http", "HTTP/1.1", 3));
    let mut headers: Vec<String> =
        http.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    headers.sort_unstable();
    let pseudo = [":authority=host", ":method=POST", ":path=/a?b", ":scheme=http"];
    assert_eq!(headers, [&pseudo[..], &["a=1,2!", "x-request-id=id"]].concat());
    assert_eq!(context.context_extensions["key"], "value");
    assert_eq!(context.tls_session.unwrap().sni, "name.example");
}

#[test]
fn only_named_metadata_is_shown() {
    let context = encoded(&config(), &[], None);
    let metadata = context.metadata_context.unwrap().filter_metadata;
    assert_eq!(metadata.keys().collect::<Vec<_>>(), ["jwt"]);
    let told = values::structure(metadata["jwt"].clone());
    assert_eq!(told, known().filters[0].1);
}

#[test]
fn bodies_as_text_or_bytes() {
    let body = |pack_as_bytes, partial| Some(CheckBody { bytes: b"a\xff", partial, pack_as_bytes });
    let cases = [
        (None, ("", &b""[..], None)),
        (body(false, false), ("a!", &b""[..], Some("false"))),
        (body(true, true), ("", &b"a\xff"[..], Some("true"))),
    ];
    for (body, expect) in cases {
        let http = encoded(&config(), &[], body).request.unwrap().http.unwrap();
        let partial = http.headers.get(PARTIAL_BODY).map(String::as_str);
        assert_eq!((&*http.body, &*http.raw_body, partial), expect);
    }
}

#[test]
fn raw_headers_stay_apart() {
    let raw = ExtAuthz { headers: SentHeaders { raw: true, ..SentHeaders::default() }, ..config() };
    let http = encoded(&raw, &[("a", b"1"), ("a", b"\xff")], None).request.unwrap().http.unwrap();
    assert!(http.headers.is_empty());
    let list = http.header_map.unwrap().headers;
    let values: Vec<&[u8]> =
        list.iter().filter(|header| header.key == "a").map(|header| &*header.raw_value).collect();
    assert_eq!(values, [&b"1"[..], b"\xff"]);
}

fn option(key: &str, change: impl FnOnce(&mut core::HeaderValueOption)) -> core::HeaderValueOption {
    let header = core::HeaderValue { key: key.into(), value: "v".into(), ..Default::default() };
    let mut option = core::HeaderValueOption { header: Some(header), ..Default::default() };
    change(&mut option);
    option
}

fn answered(code: i32, http: Option<auth::check_response::HttpResponse>) -> Verdict {
    let status = Some(rpc::Status { code, ..Default::default() });
    decode(&auth::CheckResponse { status, http_response: http, ..Default::default() }.encode_to_vec())
}

#[test]
fn how_a_header_is_set() {
    use core::header_value_option::HeaderAppendAction as Action;
    use http::header::HOST;
    let append = |value| Some(protobuf::BoolValue { value });
    let cases = [
        (option("x", |_| {}), Some(HeaderAppendAction::AppendIfExistsOrAdd)),
        (option("x", |o| o.append = append(false)), Some(HeaderAppendAction::OverwriteIfExistsOrAdd)),
        (option("x", |o| o.append = append(true)), Some(HeaderAppendAction::AppendIfExistsOrAdd)),
        (
            option("x", |o| o.append_action = Action::AddIfAbsent as i32),
            Some(HeaderAppendAction::AddIfAbsent),
        ),
        (
            option("x", |o| o.append_action = Action::OverwriteIfExists as i32),
            Some(HeaderAppendAction::OverwriteIfExists),
        ),
        (option("x", |o| o.append_action = 77), None),
        (option(":path", |_| {}), None),
        (option(HOST.as_str(), |_| {}), None),
        (option("bad name", |_| {}), None),
        (option("x", |o| o.header = None), None),
    ];
    for (option, expect) in cases {
        let ok = auth::OkHttpResponse { headers: vec![option.clone()], ..Default::default() };
        let verdict = answered(0, Some(auth::check_response::HttpResponse::OkResponse(ok)));
        let got = match verdict {
            Verdict::Allowed(allowed) => Some(allowed.request[0].action),
            Verdict::Invalid => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(got, expect, "{option:?}");
    }
}

#[test]
fn verdicts() {
    use auth::check_response::HttpResponse::{DeniedResponse, ErrorResponse, OkResponse};
    let denied = |code| auth::DeniedHttpResponse {
        status: Some(types::HttpStatus { code }),
        body: "xx".into(),
        ..Default::default()
    };
    let answer = |status: Option<u16>, body: &'static str| Answer {
        status: status.map(|status| StatusCode::from_u16(status).unwrap()),
        body: body.into(),
        ..Answer::default()
    };
    let cases = [
        (answered(0, None), Verdict::Allowed(Box::default())),
        (answered(0, Some(OkResponse(Default::default()))), Verdict::Allowed(Box::default())),
        // The status decides, not what comes with it.
        (answered(0, Some(DeniedResponse(denied(401)))), Verdict::Allowed(Box::default())),
        (answered(7, Some(OkResponse(Default::default()))), Verdict::Denied(Answer::default())),
        (answered(7, None), Verdict::Denied(Answer::default())),
        (answered(7, Some(DeniedResponse(denied(429)))), Verdict::Denied(answer(Some(429), "xx"))),
        (answered(7, Some(DeniedResponse(denied(42)))), Verdict::Denied(answer(None, "xx"))),
        (answered(13, Some(ErrorResponse(denied(502)))), Verdict::Error(Some(answer(Some(502), "xx")))),
        (decode(b"\xff"), Verdict::Error(None)),
        (decode(b""), Verdict::Allowed(Box::default())),
    ];
    for (got, expect) in cases {
        assert_eq!(got, expect);
    }
}

#[test]
fn permission_with_changes() {
    let ok = auth::OkHttpResponse {
        headers_to_remove: vec!["authorization".into(), ":path".into()],
        query_parameters_to_remove: vec!["token".into()],
        query_parameters_to_set: vec![core::QueryParameter { key: "k".into(), value: "v".into() }],
        ..Default::default()
    };
    let Verdict::Allowed(allowed) = answered(0, Some(auth::check_response::HttpResponse::OkResponse(ok)))
    else {
        panic!()
    };
    assert_eq!(allowed.remove, [http::header::AUTHORIZATION]);
    assert_eq!(allowed.query.remove, ["token"]);
    assert_eq!(allowed.query.set, [("k".to_owned(), "v".to_owned())]);
}
