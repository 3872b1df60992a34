use super::*;
use crate::model::log_service::LogProtocol;
use crate::model::metadata::{DynamicMetadata, MetadataValue};
use crate::model::tracing::Collector;
use crate::model::workload::Workload;
use crate::telemetry::record::{Downstream, Upstream};
use http::HeaderValue;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

fn service(protocol: LogProtocol) -> LogService {
    let collector = Collector {
        cluster: "c".into(),
        authority: HeaderValue::from_static("c"),
        path: "/".into(),
        headers: Vec::new(),
        timeout: None,
    };
    LogService { content_hash: 0, collector, log_name: "access".into(), batch_bytes: 1, protocol }
}

#[test]
fn a_request_with_all_that_is_asked_for() {
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("x-tenant", "a"), ("x-tenant", "b"), ("user-agent", "curl"), ("x-request-id", "id")]
    {
        headers.append(name, HeaderValue::from_static(value));
    }
    let peer: Arc<str> = "spiffe://td/ns/client/sa/web".into();
    let web = Arc::new(Workload { name: "web-0".into(), namespace: "client".into(), ..Workload::default() });
    let mut metadata = DynamicMetadata::default();
    metadata.merge("jwt", [("iss".into(), MetadataValue::Bool(true))].into());
    let record = RequestRecord {
        duration: Duration::from_millis(1500),
        response_duration: Some(Duration::from_millis(900)),
        protocol: Protocol::Http2,
        request: Some(RequestHead {
            method: "POST",
            path: "/a?b",
            authority: "orders:8080",
            scheme: "http",
            headers: &headers,
            grpc: false,
        }),
        response: Some(ResponseHead { status: 503, headers: &headers, trailers: Some(&headers) }),
        flags: ResponseFlags::of(ResponseFlag::UF).with(ResponseFlag::UAEX),
        details: Some("via_upstream"),
        bytes_received: 5,
        bytes_sent: 6,
        upstream: Upstream {
            cluster: Some("outbound"),
            host: Some("envoy://connect_originate/10.0.0.9:8080"),
            attempts: 2,
            ..Upstream::default()
        },
        downstream: Downstream {
            remote_address: Some("10.0.0.1:41000".parse().unwrap()),
            peer_principal: Some(&peer),
            workload: Some(&web),
            ..Downstream::default()
        },
        route_name: Some("default"),
        metadata: &metadata,
        ..RequestRecord::new(UNIX_EPOCH + Duration::from_secs(7))
    };
    let log = EntryLog {
        filter_state: vec!["downstream_peer".into(), "io.istio.peer_principal".into(), "nobody".into()],
        request_headers: vec![HeaderName::from_static("x-tenant"), HeaderName::from_static("x-none")],
        response_trailers: vec![HeaderName::from_static("user-agent")],
        ..EntryLog::default()
    };
    let entry = data::HttpAccessLogEntry::decode(&*http(&log, &record)).unwrap();
    let common = entry.common_properties.unwrap();
    assert_eq!(common.start_time.unwrap().seconds, 7);
    assert_eq!(common.duration.unwrap(), protobuf::Duration { seconds: 1, nanos: 500_000_000 });
    let flags = common.response_flags.unwrap();
    assert!(flags.upstream_connection_failure && flags.unauthorized_details.is_some() && !flags.rate_limited);
    assert_eq!((common.upstream_request_attempt_count, &*common.upstream_cluster), (2, "outbound"));
    assert!(common.metadata.unwrap().filter_metadata.contains_key("jwt"));
    assert_eq!(common.filter_state_objects.len(), 2);
    let told = &common.filter_state_objects["downstream_peer"];
    let told = protobuf::Struct::decode(&*told.value).unwrap();
    assert!(told.fields.contains_key("LABELS") && told.fields.contains_key("NAMESPACE"));
    assert!(matches!(
        common.upstream_remote_address.unwrap().address.unwrap(),
        core::address::Address::EnvoyInternalAddress(address) if address.endpoint_id == "10.0.0.9:8080"
    ));
    assert!(common.tls_properties.unwrap().peer_certificate_properties.is_some());
    let request = entry.request.unwrap();
    assert_eq!((request.request_method, &*request.path), (core::RequestMethod::Post as i32, "/a?b"));
    assert_eq!((&*request.user_agent, &*request.request_id), ("curl", "id"));
    assert_eq!(request.request_headers, HashMap::from([("x-tenant".to_owned(), "a,b".to_owned())]));
    let response = entry.response.unwrap();
    assert_eq!((response.response_code.unwrap().value, response.response_body_bytes), (503, 6));
    assert_eq!(response.response_trailers.len(), 1);
}

#[test]
fn a_stream_begins_with_who_we_are() {
    let nothing = RequestRecord { bytes_sent: 9, protocol: Protocol::Tcp, ..RequestRecord::new(UNIX_EPOCH) };
    let node = NodeInfo { id: "waypoint~1".into(), zone: "z".into(), ..NodeInfo::NONE.clone() };
    let log = EntryLog::default();
    for is_tcp in [false, true] {
        let service = service(LogProtocol::Tcp(log.clone()));
        let entries = vec![if is_tcp { tcp(&log, &nothing) } else { http(&log, &nothing) }; 2];
        let bytes = batch(&service, &node, entries, is_tcp);
        let message = stream::StreamAccessLogsMessage::decode(&*bytes).unwrap();
        let identifier = message.identifier.unwrap();
        let who = identifier.node.unwrap();
        assert_eq!((&*identifier.log_name, &*who.id), ("access", "waypoint~1"));
        use stream::stream_access_logs_message::LogEntries;
        match message.log_entries.unwrap() {
            LogEntries::HttpLogs(logs) => assert_eq!((is_tcp, logs.log_entry.len()), (false, 2)),
            LogEntries::TcpLogs(logs) => {
                let sent = logs.log_entry[1].connection_properties.as_ref().unwrap().sent_bytes;
                assert_eq!((is_tcp, sent), (true, 9));
            }
        }
    }
}
