use super::*;
use crate::failure::{ResponseFlag, ResponseFlags};
use crate::model::metadata::{DynamicMetadata, MetadataValue};
use crate::model::node::NodeInfo;
use crate::model::workload::Workload;
use crate::telemetry::record::{Downstream, RequestHead, ResponseHead, Upstream};
use cel::Program;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::{Duration, UNIX_EPOCH};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// Gives a full record to `check`, once with a response and once, as a connection's, without anything.
fn with_record(check: impl Fn(&RequestRecord<'_>)) {
    let request = headers(&[("x-tenant", "acme"), ("x-many", "a"), ("user-agent", "curl")]);
    let mut request = request;
    request.append("x-many", HeaderValue::from_static("b"));
    let response = headers(&[("server", "app")]);
    let peer: Arc<str> = "spiffe://td/ns/client/sa/web".into();
    let workload = Arc::new(Workload { workload_name: "web".into(), ..Workload::default() });
    let mut metadata = DynamicMetadata::default();
    metadata.merge("jwt", [("iss".into(), MetadataValue::String("me".into()))].into());
    let fields = [("NAMESPACE".into(), MetadataValue::String("shop".into()))].into();
    let node = NodeInfo {
        id: "waypoint~1".into(),
        metadata: MetadataValue::Struct(fields),
        ..NodeInfo::NONE.clone()
    };
    check(&RequestRecord {
        duration: Duration::from_millis(1500),
        request: Some(RequestHead {
            method: "GET",
            path: "/a/b?c=d",
            authority: "orders:8080",
            scheme: "http",
            headers: &request,
            grpc: false,
        }),
        response: Some(ResponseHead { status: 503, headers: &response, trailers: None }),
        flags: ResponseFlags::of(ResponseFlag::UH).with(ResponseFlag::UF),
        details: Some("no_healthy_upstream"),
        bytes_received: 7,
        upstream: Upstream {
            cluster: Some("inbound-vip|8080|http|orders"),
            host: Some("envoy://connect_originate/10.0.0.9:8080"),
            ..Upstream::default()
        },
        downstream: Downstream {
            local_address: Some("10.96.0.7:8080".parse().unwrap()),
            remote_address: Some("10.0.0.1:41000".parse().unwrap()),
            peer_principal: Some(&peer),
            workload: Some(&workload),
            ..Downstream::default()
        },
        route_name: Some("default"),
        node: &node,
        metadata: &metadata,
        ..RequestRecord::new(UNIX_EPOCH)
    });
}

fn expression(text: &str) -> Expression {
    Expression::new(text, Program::compile(text).unwrap())
}

#[test]
fn labels() {
    let cases = [
        ("request.host", "orders:8080"),
        ("request.path", "/a/b?c=d"),
        ("request.url_path", "/a/b"),
        ("request.query", "c=d"),
        ("request['method']", "GET"),
        ("request.useragent", "curl"),
        ("request.headers['x-tenant']", "acme"),
        ("request.headers['X-Tenant']", "acme"),
        ("request.headers['x-many']", "a,b"),
        ("request.headers[':authority']", "orders:8080"),
        ("request.headers['nope']", "unknown"),
        ("request.headers['not a name']", "unknown"),
        ("has(request.referer) ? request.referer : 'none'", "none"),
        ("has(request.host) ? request.host : 'unknown'", "orders:8080"),
        ("'x-tenant' in request.headers", "true"),
        ("request.size", "7"),
        ("request.total_size", "102"),
        ("request.duration", "1.5s"),
        ("request.time", "1970-01-01T00:00:00Z"),
        ("request.protocol", "HTTP/1.1"),
        ("string(response.code)", "503"),
        ("response.code == 503 ? 'bad' : 'ok'", "bad"),
        ("response.code / 100", "5"),
        ("response.code_details", "no_healthy_upstream"),
        ("response.flags", "34"),
        ("response.headers['server']", "app"),
        ("response.trailers['server']", "unknown"),
        ("string(destination.port)", "8080"),
        ("destination.address", "10.96.0.7:8080"),
        ("source.address", "10.0.0.1:41000"),
        ("connection.mtls", "true"),
        ("connection.uri_san_peer_certificate", "spiffe://td/ns/client/sa/web"),
        ("upstream.port", "8080"),
        ("xds.cluster_name", "inbound-vip|8080|http|orders"),
        ("route_name", "default"),
        ("node.metadata['NAMESPACE']", "shop"),
        ("xds.node.metadata.NAMESPACE", "shop"),
        ("metadata.filter_metadata['jwt'].iss", "me"),
        ("filter_state['io.istio.peer_principal']", "spiffe://td/ns/client/sa/web"),
        ("filter_state.downstream_peer.workload", "web"),
        ("downstream_peer.workload", "web"),
        ("upstream_peer.workload", "unknown"),
        ("1 / 0", "unknown"),
        ("request", "unknown"),
        ("0.25", "0.25"),
        ("null", "NULL"),
        ("[1]", "list value"),
    ];
    with_record(|record| {
        for (text, expect) in cases {
            assert_eq!(&*label(&expression(text), record), expect, "{text}");
        }
        let long = format!("'{}'", "ä".repeat(METRIC_TAG_BYTES_MAX));
        assert_eq!(label(&expression(&long), record).len(), METRIC_TAG_BYTES_MAX);
    });
}

#[test]
fn filters() {
    let cases = [
        ("response.code >= 400", true),
        ("response.code >= 400 || connection.mtls == false", true),
        ("response.code < 400 && connection.mtls", false),
        ("connection.mtls && request.url_path.contains('b')", true),
        ("has(response.code)", true),
        ("has(response.grpc_status)", false),
        ("request.headers['nope'] == 'x'", false),
        ("request.headers['nope'] == 'x' || true", true),
        ("request.path.matches('^/a/[a-z]')", true),
        ("response.code", false),
    ];
    with_record(|record| {
        for (text, expect) in cases {
            assert_eq!(holds(&expression(text), record), expect, "{text}");
        }
    });
    let nothing = RequestRecord::new(UNIX_EPOCH);
    for (text, expect) in
        [("response.code >= 400", false), ("has(response.code)", false), ("!connection.mtls", true)]
    {
        assert_eq!(holds(&expression(text), &nothing), expect, "{text} of nothing");
    }
}
