use super::*;
use crate::model::http_chain::HttpFilter;
use crate::translate::ecds::Extensions;
use crate::translate::pb::{core as core_pb, http_rbac, protobuf, router};
use crate::translate::tests::{outcome, pack, seconds};
use pb::http_connection_manager as inner;

fn router() -> pb::HttpFilter {
    pb::HttpFilter {
        name: "envoy.filters.http.router".into(),
        config_type: Some(pb::http_filter::ConfigType::TypedConfig(pack(&router::Router::default()))),
        ..Default::default()
    }
}

fn manager() -> pb::HttpConnectionManager {
    pb::HttpConnectionManager {
        http_filters: vec![router()],
        route_specifier: Some(inner::RouteSpecifier::RouteConfig(Default::default())),
        ..Default::default()
    }
}

fn translated(manager: pb::HttpConnectionManager) -> Result<HttpChain> {
    chain(manager, &mut Asked::new(&Extensions::default()), &mut Warnings::default())
}

#[test]
fn defaults_are_envoys() {
    let chain = translated(manager()).unwrap();
    assert_eq!(chain.idle_timeout, Some(Duration::from_secs(3600)));
    assert_eq!(chain.stream_idle_timeout, Some(Duration::from_secs(300)));
    assert_eq!((chain.max_request_headers_bytes, chain.max_request_headers_count), (61_440, 100));
    assert_eq!(chain.server.unwrap(), "envoy");
    assert!(chain.generate_request_id && !chain.allow_connect);
    assert_eq!(chain.path_normalization, PathNormalization::default());
    assert!(matches!(chain.filters.as_slice(), [HttpFilter::Router { suppress_envoy_headers: false }]));
}

#[test]
fn istiod_s_settings_are_taken() {
    let http2 = core_pb::Http2ProtocolOptions { allow_connect: true, ..Default::default() };
    let options = core_pb::HttpProtocolOptions { idle_timeout: seconds(90), ..Default::default() };
    let chain = translated(pb::HttpConnectionManager {
        http2_protocol_options: Some(http2),
        server_name: "istio-envoy".into(),
        stream_idle_timeout: seconds(0),
        normalize_path: Some(protobuf::BoolValue { value: true }),
        merge_slashes: true,
        path_with_escaped_slashes_action: inner::PathWithEscapedSlashesAction::UnescapeAndForward as i32,
        upgrade_configs: vec![inner::UpgradeConfig {
            upgrade_type: "WebSocket".into(),
            ..Default::default()
        }],
        forward_client_cert_details: inner::ForwardClientCertDetails::AlwaysForwardOnly as i32,
        common_http_protocol_options: Some(options),
        ..manager()
    })
    .unwrap();
    assert!(chain.allow_connect);
    assert_eq!(chain.server.unwrap(), "istio-envoy");
    assert_eq!((chain.stream_idle_timeout, chain.idle_timeout), (None, Some(Duration::from_secs(90))));
    assert_eq!(chain.path_normalization.escaped_slashes, EscapedSlashes::UnescapeAndForward);
    assert!(chain.path_normalization.normalize && chain.path_normalization.merge_slashes);
    assert_eq!(chain.upgrades, ["websocket".into()]);
    assert_eq!(chain.forward_client_cert, ForwardClientCert::AlwaysForward);
}

#[test]
fn what_cannot_be_honoured() {
    let cases = [
        (
            pb::HttpConnectionManager {
                use_remote_address: Some(protobuf::BoolValue { value: true }),
                ..manager()
            },
            "unsupported unsupported_field{use_remote_address}",
        ),
        (
            pb::HttpConnectionManager { local_reply_config: Some(Default::default()), ..manager() },
            "unsupported unsupported_field{HttpConnectionManager#38}",
        ),
        (
            pb::HttpConnectionManager { forward_client_cert_details: 2, ..manager() },
            "unsupported unsupported_field{APPEND_FORWARD}",
        ),
        (
            pb::HttpConnectionManager {
                upgrade_configs: vec![inner::UpgradeConfig {
                    upgrade_type: "CONNECT".into(),
                    ..Default::default()
                }],
                ..manager()
            },
            "unsupported unsupported_upgrade{CONNECT}",
        ),
        (
            pb::HttpConnectionManager {
                route_specifier: Some(inner::RouteSpecifier::Rds(pb::Rds {
                    route_config_name: "r".into(),
                    ..Default::default()
                })),
                ..manager()
            },
            "unsupported unsupported_routes{rds:r}",
        ),
        (
            pb::HttpConnectionManager { http_filters: Vec::new(), ..manager() },
            "invalid http_filters: no router filter at the end",
        ),
        (
            pb::HttpConnectionManager { http_filters: vec![router(), router()], ..manager() },
            "invalid http_filters[1]: a filter follows the router",
        ),
        (
            pb::HttpConnectionManager { stream_idle_timeout: seconds(-5), ..manager() },
            "invalid stream_idle_timeout: negative duration",
        ),
    ];
    for (manager, expect) in cases {
        assert_eq!(outcome(translated(manager)), expect);
    }
}

#[test]
fn an_invalid_filter_rejects_with_its_path() {
    let policy = crate::translate::pb::rbac::Policy::default();
    let rules = crate::translate::pb::rbac::Rbac {
        policies: [("p".to_owned(), policy)].into(),
        ..Default::default()
    };
    let rbac = http_rbac::Rbac { rules: Some(rules), ..Default::default() };
    let filter = pb::HttpFilter {
        name: "envoy.filters.http.rbac".into(),
        config_type: Some(pb::http_filter::ConfigType::TypedConfig(pack(&rbac))),
        ..Default::default()
    };
    let expect =
        "invalid http_filters[0].rules.policies[p].permissions: policy without permissions or principals";
    assert_eq!(
        outcome(translated(pb::HttpConnectionManager { http_filters: vec![filter, router()], ..manager() })),
        expect
    );
}
