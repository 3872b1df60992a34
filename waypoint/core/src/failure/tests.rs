use super::*;
use http::HeaderValue;

fn exhausted() -> ResetContext<'static> {
    ResetContext { retries_exhausted: true, retried: true, transport: None }
}

/// Status, flags, details and body as the recorded cases have them.
#[test]
fn as_envoy_says_it() {
    const RESET: &str = "upstream connect error or disconnect/reset before headers.";
    let plain = ResetContext::default();
    let refused = ResetContext { transport: Some("delayed connect error: 111"), ..plain };
    let rows: Vec<(Failure, u16, &str, &str, String)> = vec![
        (Failure::route_not_found(), 404, "NR", "route_not_found", String::new()),
        (
            Failure::cluster_not_found(StatusCode::INTERNAL_SERVER_ERROR),
            500,
            "NC",
            "cluster_not_found",
            String::new(),
        ),
        (Failure::no_healthy_upstream(), 503, "UH", "no_healthy_upstream", "no healthy upstream".into()),
        (Failure::response_timeout(), 504, "UT", "response_timeout", "upstream request timeout".into()),
        (
            Failure::per_try_timeout(),
            504,
            "UT",
            "upstream_per_try_timeout",
            "upstream request timeout".into(),
        ),
        (
            Failure::reset(ResetReason::ConnectionTermination, &plain),
            503,
            "UC",
            "upstream_reset_before_response_started{connection_termination}",
            format!("{RESET} reset reason: connection termination"),
        ),
        (
            Failure::reset(ResetReason::RemoteConnectionFailure, &exhausted()),
            503,
            "URX,UF",
            "upstream_reset_before_response_started{remote_connection_failure}",
            format!("{RESET} retried and the latest reset reason: remote connection failure"),
        ),
        (
            Failure::reset(ResetReason::RemoteConnectionFailure, &refused),
            503,
            "UF",
            "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111}",
            format!("{RESET} reset reason: remote connection failure"),
        ),
        (
            Failure::reset(ResetReason::Overflow, &plain),
            503,
            "UO",
            "upstream_reset_before_response_started{overflow}",
            format!("{RESET} reset reason: overflow"),
        ),
        (
            Failure::reset(ResetReason::ProtocolError, &plain),
            502,
            "UPE",
            "upstream_reset_before_response_started{protocol_error}",
            format!("{RESET} reset reason: protocol error"),
        ),
        (
            Failure::rbac_denied(None),
            403,
            "-",
            "rbac_access_denied_matched_policy[none]",
            "RBAC: access denied".into(),
        ),
        (
            Failure::rbac_denied(Some("ns[shop]-policy[deny-delete]-rule[0]")),
            403,
            "-",
            "rbac_access_denied_matched_policy[ns[shop]-policy[deny-delete]-rule[0]]",
            "RBAC: access denied".into(),
        ),
        (
            Failure::fault_abort(StatusCode::SERVICE_UNAVAILABLE),
            503,
            "FI",
            "fault_filter_abort",
            "fault filter abort".into(),
        ),
        (Failure::low_version(), 426, "DPE", "low_version", "Upgrade Required".into()),
        (Failure::upgrade_failed(), 403, "-", "upgrade_failed", String::new()),
        (Failure::absolute_path_rejected(), 404, "-", "absolute_path_rejected", String::new()),
        (
            Failure::headers_too_large(),
            431,
            "DPE",
            "http1.headers_too_large",
            "Request Header Fields Too Large".into(),
        ),
        (Failure::codec_error(), 400, "DPE", "http1.codec_error", "Bad Request".into()),
    ];
    for (failure, status, flags, details, body) in rows {
        let have = (failure.status.as_u16(), failure.flags.to_string(), &*failure.details, &*failure.body);
        assert_eq!(have, (status, flags.to_owned(), details, body.as_str()));
    }
}

#[test]
fn details_never_hold_white_space() {
    for failure in [
        Failure::rbac_denied(Some("ns[a]-policy[b c]\n")),
        Failure::reset(
            ResetReason::RemoteRefusedStream,
            &ResetContext { transport: Some("a b\tc"), ..exhausted() },
        ),
    ] {
        assert!(!failure.details.contains(char::is_whitespace), "{}", failure.details);
    }
}

#[test]
fn grpc_statuses() {
    let cases = [
        (Failure::route_not_found(), 12),
        (Failure::no_healthy_upstream(), 14),
        (Failure::response_timeout(), 14),
        (Failure::rbac_denied(None), 7),
        (Failure::cluster_not_found(StatusCode::INTERNAL_SERVER_ERROR), 2),
        (Failure::path_normalization_failed(), 13),
        (Failure::fault_abort_grpc(GrpcStatus(9)), 9),
        (Failure::fault_abort(StatusCode::TOO_MANY_REQUESTS), 14),
        (Failure::fault_abort(StatusCode::UNAUTHORIZED), 16),
    ];
    for (failure, expect) in cases {
        assert_eq!(failure.grpc_status(), GrpcStatus(expect), "{}", failure.details);
    }
}

#[test]
fn grpc_content_types() {
    let cases = [
        (Some("application/grpc"), true),
        (Some("application/grpc+proto"), true),
        (Some("application/grpc-web"), false),
        (Some("application/json"), false),
        (None, false),
    ];
    for (content_type, expect) in cases {
        assert_eq!(is_grpc(content_type.map(HeaderValue::from_static).as_ref()), expect, "{content_type:?}");
    }
}

#[test]
fn flags_print_in_envoys_order() {
    let flags = ResponseFlags::of(ResponseFlag::UF).with(ResponseFlag::URX).with(ResponseFlag::DI);
    assert_eq!(flags.to_string(), "URX,UF,DI");
    let unopened = ResponseFlags::of(ResponseFlag::UF).attempts_exhausted();
    assert_eq!(unopened.to_string(), "UF,URX");
    assert_eq!(unopened.envoy_bits(), flags.envoy_bits() - ResponseFlags::of(ResponseFlag::DI).envoy_bits());
    assert_eq!(ResponseFlags::NONE.to_string(), "-");
}
