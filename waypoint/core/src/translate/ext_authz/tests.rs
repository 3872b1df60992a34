use super::*;
use crate::translate::pb::{core, protobuf, types};
use crate::translate::tests::{outcome, seconds};
use core::grpc_service::{EnvoyGrpc, GoogleGrpc, TargetSpecifier};
use pb::ext_authz::Services;

fn grpc_service(change: impl FnOnce(&mut core::GrpcService)) -> pb::ExtAuthz {
    let target = EnvoyGrpc { cluster_name: "authz".into(), ..Default::default() };
    let mut service = core::GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(target)),
        ..Default::default()
    };
    change(&mut service);
    pb::ExtAuthz { services: Some(Services::GrpcService(service)), ..v3() }
}

fn http_service(change: impl FnOnce(&mut pb::HttpService)) -> pb::ExtAuthz {
    let server = core::HttpUri {
        http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster("authz".into())),
        timeout: seconds(2),
        ..Default::default()
    };
    let mut service = pb::HttpService { server_uri: Some(server), ..Default::default() };
    change(&mut service);
    pb::ExtAuthz { services: Some(Services::HttpService(service)), ..v3() }
}

fn v3() -> pb::ExtAuthz {
    pb::ExtAuthz { transport_api_version: core::ApiVersion::V3 as i32, ..Default::default() }
}

fn with(change: impl FnOnce(&mut pb::ExtAuthz)) -> pb::ExtAuthz {
    let mut filter = grpc_service(|_| {});
    change(&mut filter);
    filter
}

fn buffer(max_request_bytes: u32) -> Option<pb::BufferSettings> {
    Some(pb::BufferSettings { max_request_bytes, ..Default::default() })
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let header = |key: &str, value: &str| core::HeaderValue {
        key: key.into(),
        value: value.into(),
        ..Default::default()
    };
    let google = TargetSpecifier::GoogleGrpc(GoogleGrpc::default());
    let cases = [
        (grpc_service(|_| {}), "ok"),
        (http_service(|_| {}), "ok"),
        (v3(), "unsupported unsupported_ext_authz{no service}"),
        (
            with(|filter| filter.transport_api_version = 0),
            "unsupported unsupported_ext_authz{transport_api_version}",
        ),
        (with(|filter| filter.shadow_mode = true), "unsupported unsupported_field{ExtAuthz#32}"),
        (with(|filter| filter.include_peer_certificate = true), "unsupported unsupported_field{ExtAuthz#10}"),
        (
            with(|filter| filter.decoder_header_mutation_rules = Some(Default::default())),
            "unsupported unsupported_field{ExtAuthz#26}",
        ),
        (with(|filter| filter.stat_prefix = "waf".into()), "ok"),
        (with(|filter| filter.with_request_body = buffer(1024)), "ok"),
        (
            with(|filter| filter.with_request_body = buffer(0)),
            "invalid with_request_body: max_request_bytes is 0",
        ),
        (
            with(|filter| filter.with_request_body = buffer(1 << 30)),
            "unsupported unsupported_ext_authz{max_request_bytes=1073741824}",
        ),
        (
            grpc_service(|service| service.target_specifier = Some(google)),
            "unsupported unsupported_ext_authz{google_grpc}",
        ),
        (
            grpc_service(|service| service.retry_policy = Some(Default::default())),
            "unsupported unsupported_field{GrpcService#6}",
        ),
        (grpc_service(|service| service.initial_metadata = vec![header("x-a", "%REQ(:path)%")]), "ok"),
        (
            grpc_service(|service| service.initial_metadata = vec![header(":path", "x")]),
            "unsupported invalid_header{:path cannot be set}",
        ),
        (http_service(|service| service.server_uri = None), "invalid http_service: no server_uri"),
        (
            http_service(|service| service.path_prefix = "check".into()),
            "invalid http_service.path_prefix: bad path \"check\"",
        ),
        (
            http_service(|service| {
                service.path_prefix = "/a".into();
                service.path_override = "/b".into();
            }),
            "invalid http_service: path_prefix and path_override",
        ),
        (
            http_service(|service| service.retry_policy = Some(Default::default())),
            "unsupported unsupported_field{HttpService#9}",
        ),
    ];
    for (filter, expect) in cases {
        let shown = format!("{filter:?}");
        assert_eq!(outcome(http_filter(filter)), expect, "{shown}");
    }
}

#[test]
fn envoys_defaults() {
    let authz = http_filter(grpc_service(|_| {})).unwrap();
    assert_eq!(authz.timeout, Some(Duration::from_millis(200)));
    assert_eq!(authz.status_on_error, StatusCode::FORBIDDEN);
    assert!(authz.headers.allowed.is_none() && authz.ingest_metadata && !authz.failure_mode_allow);
    let AuthzService::Grpc(target) = &authz.service else { panic!("{authz:?}") };
    assert_eq!((&*target.cluster, target.authority.to_str().unwrap()), ("authz", "authz"));
    let forever = grpc_service(|service| service.timeout = seconds(0));
    assert_eq!(http_filter(forever).unwrap().timeout, None);
}

#[test]
fn an_http_service_sees_no_headers_but_those_listed() {
    let patterns = |name: &str| pb_matcher::ListStringMatcher {
        patterns: vec![pb_matcher::StringMatcher {
            match_pattern: Some(pb_matcher::string_matcher::MatchPattern::Exact(name.into())),
            ..Default::default()
        }],
    };
    let older = |service: &mut pb::HttpService| {
        let allowed_headers = Some(patterns("older"));
        service.authorization_request =
            Some(pb::AuthorizationRequest { allowed_headers, ..Default::default() });
    };
    let both = || pb::ExtAuthz { allowed_headers: Some(patterns("newer")), ..http_service(older) };
    let cases = [
        (http_service(|_| {}), vec!["authorization"]),
        (http_service(older), vec!["older", "authorization"]),
        (both(), vec!["newer", "authorization"]),
    ];
    for (filter, expect) in cases {
        let authz = http_filter(filter).unwrap();
        let names = authz.headers.allowed.unwrap();
        let names: Vec<&str> = names
            .iter()
            .map(|matcher| match &matcher.pattern {
                StringPattern::Exact(name) => &**name,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names, expect);
    }
}

#[test]
fn an_empty_client_list_passes_everything_on() {
    let response = |list: Option<pb_matcher::ListStringMatcher>| {
        http_service(|service| {
            service.authorization_response =
                Some(pb::AuthorizationResponse { allowed_client_headers: list, ..Default::default() });
        })
    };
    for list in [None, Some(pb_matcher::ListStringMatcher::default())] {
        let authz = http_filter(response(list)).unwrap();
        let AuthzService::Http(service) = authz.service else { panic!("not HTTP") };
        assert!(service.client.is_none());
    }
}

#[test]
fn a_connection_has_nothing_to_fill_formats_from() {
    let filter = |value: &str| {
        let Some(Services::GrpcService(mut service)) = grpc_service(|_| {}).services else { panic!() };
        service.initial_metadata =
            vec![core::HeaderValue { key: "x-a".into(), value: value.into(), ..Default::default() }];
        network_ext_authz::ExtAuthz {
            grpc_service: Some(service),
            transport_api_version: core::ApiVersion::V3 as i32,
            send_tls_alert_on_denial: true,
            ..Default::default()
        }
    };
    assert_eq!(outcome(network_filter(filter("constant"))), "ok");
    let refused = "unsupported unsupported_ext_authz{initial_metadata:x-a}";
    assert_eq!(outcome(network_filter(filter("%REQ(x)%"))), refused);
}

#[test]
fn levels_of_route_settings_join() {
    let settings = |pairs: &[(&str, &str)], disable: bool| {
        let context = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = pb::CheckSettings {
            context_extensions: context.collect(),
            disable_request_body_buffering: disable,
            ..Default::default()
        };
        let r#override = Some(pb::ext_authz_per_route::Override::CheckSettings(settings));
        Some(Arc::new(per_route(pb::ExtAuthzPerRoute { r#override }).unwrap()))
    };
    let disabled = || Some(Arc::new(ExtAuthzPerRoute::Disabled));
    let cases = [
        (
            settings(&[("a", "1")], true),
            settings(&[("a", "2"), ("b", "2")], false),
            settings(&[("a", "1"), ("b", "2")], true),
        ),
        (None, settings(&[("a", "2")], false), settings(&[("a", "2")], false)),
        (disabled(), settings(&[("a", "2")], false), disabled()),
        (settings(&[("a", "1")], false), disabled(), settings(&[("a", "1")], false)),
    ];
    for (inner, outer, expect) in cases {
        assert_eq!(merge(inner, outer.as_ref()), expect);
    }
}

#[test]
fn route_settings_are_honoured_or_refused() {
    use pb::ext_authz_per_route::Override;
    let settings = |change: fn(&mut pb::CheckSettings)| {
        let mut settings = pb::CheckSettings::default();
        change(&mut settings);
        Some(Override::CheckSettings(settings))
    };
    let cases = [
        (Some(Override::Disabled(true)), "ok"),
        (Some(Override::Disabled(false)), "invalid : ext_authz override without content"),
        (None, "invalid : ext_authz override without content"),
        (settings(|settings| settings.with_request_body = buffer(1)), "ok"),
        (
            settings(|settings| {
                settings.with_request_body = buffer(1);
                settings.disable_request_body_buffering = true;
            }),
            "invalid check_settings: body settings for a body that is not buffered",
        ),
        (
            settings(|settings| {
                let service = pb::check_settings::ServiceOverride::GrpcService(core::GrpcService::default());
                settings.service_override = Some(service);
            }),
            "unsupported unsupported_field{CheckSettings#4}",
        ),
    ];
    for (r#override, expect) in cases {
        let shown = format!("{override:?}");
        assert_eq!(outcome(per_route(pb::ExtAuthzPerRoute { r#override })), expect, "{shown}");
    }
}

#[test]
fn the_status_of_an_error_is_a_status() {
    let status = |code| with(|filter| filter.status_on_error = Some(types::HttpStatus { code }));
    assert_eq!(http_filter(status(503)).unwrap().status_on_error, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(outcome(http_filter(status(42))), "invalid status_on_error: bad status 42");
    let deny = |value| {
        let flag = core::RuntimeFeatureFlag {
            default_value: Some(protobuf::BoolValue { value }),
            runtime_key: "key".into(),
        };
        http_filter(with(|filter| filter.deny_at_disable = Some(flag))).unwrap().deny_at_disable
    };
    assert!(deny(true) && !deny(false));
}
