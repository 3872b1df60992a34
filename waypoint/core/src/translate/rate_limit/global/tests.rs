use super::*;
use crate::translate::pb::{core, ratelimit, types};
use crate::translate::tests::{outcome, seconds};

fn with(change: impl FnOnce(&mut pb::RateLimit)) -> pb::RateLimit {
    use core::grpc_service::{EnvoyGrpc, TargetSpecifier};
    let target = EnvoyGrpc { cluster_name: "rls".into(), ..Default::default() };
    let grpc = core::GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(target)),
        timeout: seconds(9),
        ..Default::default()
    };
    let service = xds_client::proto::envoy::envoy::config::ratelimit::v3::RateLimitServiceConfig {
        grpc_service: Some(grpc),
        transport_api_version: core::ApiVersion::V3 as i32,
    };
    let mut filter =
        pb::RateLimit { domain: "shop".into(), rate_limit_service: Some(service), ..Default::default() };
    change(&mut filter);
    filter
}

#[test]
fn honoured_or_refused_by_name() {
    let version =
        |version| with(|filter| filter.rate_limit_service.as_mut().unwrap().transport_api_version = version);
    let cases = [
        (with(|_| {}), "ok"),
        (with(|filter| filter.stat_prefix = "limit".into()), "ok"),
        (with(|filter| filter.domain.clear()), "invalid : no domain"),
        (with(|filter| filter.stage = 11), "invalid stage: stage 11 is above 10"),
        (with(|filter| filter.request_type = "external".into()), "ok"),
        (
            with(|filter| filter.request_type = "internal".into()),
            "unsupported unsupported_rate_limit{request_type=internal}",
        ),
        (with(|filter| filter.request_type = "some".into()), "invalid : bad request_type \"some\""),
        (with(|filter| filter.rate_limit_service = None), "invalid rate_limit_service: missing"),
        (
            with(|filter| filter.rate_limit_service.as_mut().unwrap().grpc_service = None),
            "invalid rate_limit_service: no grpc_service",
        ),
        (version(0), "unsupported unsupported_rate_limit{transport_api_version}"),
        (
            with(|filter| {
                let service = filter.rate_limit_service.as_mut().unwrap();
                let google = core::grpc_service::TargetSpecifier::GoogleGrpc(Default::default());
                service.grpc_service.as_mut().unwrap().target_specifier = Some(google);
            }),
            "unsupported unsupported_rate_limit{google_grpc}",
        ),
        (
            with(|filter| filter.enable_x_ratelimit_headers = 7),
            "unsupported unsupported_value{enable_x_ratelimit_headers=7}",
        ),
        (with(|filter| filter.rate_limits = vec![Default::default()]), "invalid rate_limits[0]: no actions"),
        (
            with(|filter| filter.status_on_error = Some(types::HttpStatus { code: 42 })),
            "invalid status_on_error: bad status 42",
        ),
    ];
    for (config, expect) in cases {
        let shown = format!("{config:?}");
        assert_eq!(outcome(filter("limit", config)), expect, "{shown}");
    }
}

#[test]
fn envoys_defaults() {
    let limit = filter("limit", with(|_| {})).unwrap();
    assert_eq!(limit.timeout, Some(Duration::from_millis(20)), "not that of the service");
    assert_eq!((limit.status, limit.status_on_error.as_u16()), (StatusCode::TOO_MANY_REQUESTS, 500));
    assert_eq!((limit.enabled.numerator, limit.enforced.numerator), (100, 100));
    assert_eq!(limit.deny_on_error.numerator, 0);
    assert!(limit.says_limited && !limit.told && !limit.resource_exhausted);
    assert_eq!(&*limit.metadata_namespace, "envoy.filters.http.ratelimit");
    assert_eq!((&*limit.service.cluster, &*limit.domain), ("rls", "shop"));
}

#[test]
fn what_is_set_is_heeded() {
    let percent = |numerator| core::RuntimeFractionalPercent {
        default_value: Some(types::FractionalPercent { numerator, denominator: 0 }),
        runtime_key: String::new(),
    };
    let limit = filter(
        "limit",
        with(|filter| {
            filter.timeout = seconds(0);
            filter.failure_mode_deny = true;
            filter.rate_limited_status = Some(types::HttpStatus { code: 200 });
            filter.status_on_error = Some(types::HttpStatus { code: 200 });
            filter.filter_enforced = Some(percent(5));
            filter.disable_x_envoy_ratelimited_header = true;
            filter.metadata_namespace = "ns".into();
        }),
    )
    .unwrap();
    assert_eq!(limit.timeout, None);
    assert!(limit.deny_on_error.numerator >= limit.deny_on_error.denominator);
    // Only the status of a refusal must be an error.
    assert_eq!((limit.status.as_u16(), limit.status_on_error.as_u16()), (429, 200));
    assert_eq!((limit.enforced.numerator, limit.says_limited), (5, false));
    assert_eq!(&*limit.metadata_namespace, "ns");
    let some = filter(
        "limit",
        with(|filter| {
            filter.failure_mode_deny = true;
            filter.failure_mode_deny_percent = Some(percent(50));
        }),
    );
    assert_eq!(some.unwrap().deny_on_error, Fraction { numerator: 50, denominator: 100 });
}

#[test]
fn a_connect_is_not_asked_about() {
    use super::super::super::pb::route::{RateLimit, rate_limit::Action, rate_limit::action};
    let specifier = action::ActionSpecifier::RemoteAddress(Default::default());
    let own = RateLimit { actions: vec![Action { action_specifier: Some(specifier) }], ..Default::default() };
    let cases = [
        (with(|_| {}), "ok"),
        (
            with(|filter| filter.rate_limits = vec![own]),
            "unsupported unsupported_rate_limit{rate_limits for CONNECT}",
        ),
    ];
    for (config, expect) in cases {
        assert_eq!(outcome(at_connect(&filter("limit", config).unwrap())), expect);
    }
}

#[test]
fn of_a_route() {
    let with = |change: fn(&mut ratelimit::RateLimitPerRoute)| {
        let mut config = ratelimit::RateLimitPerRoute::default();
        change(&mut config);
        per_route(config)
    };
    let plain = with(|_| {}).unwrap();
    assert_eq!((plain.virtual_host, plain.domain), (VirtualHostLimits::Override, None));
    assert_eq!(with(|config| config.vh_rate_limits = 1).unwrap().virtual_host, VirtualHostLimits::Include);
    assert_eq!(with(|config| config.vh_rate_limits = 2).unwrap().virtual_host, VirtualHostLimits::Ignore);
    assert_eq!(with(|config| config.domain = "d".into()).unwrap().domain.as_deref(), Some("d"));
    assert_eq!(
        outcome(with(|config| config.override_option = 1)),
        "unsupported unsupported_field{RateLimitPerRoute#2}"
    );
}
