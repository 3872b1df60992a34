//! One constructor per cause, with the status, flags, details and body Envoy gives it.
//! Envoy: `ResponseCodeDetailValues`, `Http::FilterUtility`, the `sendLocalReply` calls of router and connection manager.

use super::{Failure, GrpcStatus, ResponseFlag, ResponseFlags};
use http::StatusCode;
use std::borrow::Cow;

const NO_FLAG: ResponseFlags = ResponseFlags::NONE;

fn plain(status: StatusCode, flags: ResponseFlags, details: &'static str, body: &'static str) -> Failure {
    Failure { status, flags, details: details.into(), body: body.into(), grpc_status: None }
}

fn flagged(status: StatusCode, flag: ResponseFlag, details: &'static str, body: &'static str) -> Failure {
    plain(status, ResponseFlags::of(flag), details, body)
}

/// Routing.
impl Failure {
    /// No virtual host or no route.
    #[must_use]
    pub fn route_not_found() -> Self {
        flagged(StatusCode::NOT_FOUND, ResponseFlag::NR, "route_not_found", "")
    }

    /// `status` as the route says: 503, or 500 for Gateway API routes.
    #[must_use]
    pub fn cluster_not_found(status: StatusCode) -> Self {
        flagged(status, ResponseFlag::NC, "cluster_not_found", "")
    }

    /// Configuration that cannot be honoured; `details` come from `model::Refusal`.
    #[must_use]
    pub fn refused(details: &str) -> Self {
        Self {
            details: Cow::Owned(details.to_owned()),
            ..plain(StatusCode::SERVICE_UNAVAILABLE, NO_FLAG, "", "unsupported configuration")
        }
    }
}

/// Upstream.
impl Failure {
    #[must_use]
    pub fn no_healthy_upstream() -> Self {
        flagged(
            StatusCode::SERVICE_UNAVAILABLE,
            ResponseFlag::UH,
            "no_healthy_upstream",
            "no healthy upstream",
        )
    }

    /// The route's timeout.
    #[must_use]
    pub fn response_timeout() -> Self {
        Self::upstream_timeout("response_timeout")
    }

    #[must_use]
    pub fn per_try_timeout() -> Self {
        Self::upstream_timeout("upstream_per_try_timeout")
    }

    #[must_use]
    pub fn per_try_idle_timeout() -> Self {
        Self::upstream_timeout("upstream_per_try_idle_timeout")
    }

    fn upstream_timeout(details: &'static str) -> Self {
        flagged(StatusCode::GATEWAY_TIMEOUT, ResponseFlag::UT, details, "upstream request timeout")
    }

    #[must_use]
    pub fn max_stream_duration() -> Self {
        let details = "upstream_max_stream_duration_reached";
        flagged(
            StatusCode::GATEWAY_TIMEOUT,
            ResponseFlag::UMSDR,
            details,
            "upstream max stream duration reached",
        )
    }

    /// The name of a DNS cluster did not resolve and there is no address to try.
    #[must_use]
    pub fn dns_resolution_failed() -> Self {
        flagged(
            StatusCode::SERVICE_UNAVAILABLE,
            ResponseFlag::DF,
            "dns_resolution_failure",
            "DNS resolution failure",
        )
    }

    /// Clients asked a dynamic forward proxy for too many names.
    #[must_use]
    pub fn dns_cache_overflow() -> Self {
        plain(StatusCode::SERVICE_UNAVAILABLE, NO_FLAG, "dns_cache_overflow", "DNS cache overflow")
    }
}

/// Policy.
impl Failure {
    /// `policy`: the rule that denied, `None` when no ALLOW rule matched.
    #[must_use]
    pub fn rbac_denied(policy: Option<&str>) -> Self {
        let details = format!("rbac_access_denied_matched_policy[{}]", policy.unwrap_or("none"));
        // Envoy: spaces would break the log's columns.
        let details = details.replace(char::is_whitespace, "_").into();
        Self { details, ..plain(StatusCode::FORBIDDEN, NO_FLAG, "", "RBAC: access denied") }
    }

    /// `why` in Envoy's words.
    #[must_use]
    pub fn jwt_denied(status: StatusCode, why: &'static str) -> Self {
        let details = format!("jwt_authn_access_denied{{{why}}}").replace(' ', "_").into();
        Self { details, ..plain(status, NO_FLAG, "", why) }
    }

    #[must_use]
    pub fn local_rate_limited() -> Self {
        let details = "local_rate_limited";
        flagged(StatusCode::TOO_MANY_REQUESTS, ResponseFlag::RL, details, details)
    }

    /// A rate limit service said so; the body is its own.
    #[must_use]
    pub fn request_rate_limited(status: StatusCode) -> Self {
        flagged(status, ResponseFlag::RL, "request_rate_limited", "")
    }

    /// A rate limit service said nothing.
    #[must_use]
    pub fn rate_limiter_error(status: StatusCode) -> Self {
        flagged(status, ResponseFlag::RLSE, "rate_limiter_error", "")
    }

    #[must_use]
    pub fn fault_abort(status: StatusCode) -> Self {
        flagged(status, ResponseFlag::FI, "fault_filter_abort", "fault filter abort")
    }

    #[must_use]
    pub fn fault_abort_grpc(status: GrpcStatus) -> Self {
        Self { grpc_status: Some(status), ..Self::fault_abort(StatusCode::OK) }
    }
}

/// The downstream request itself.
impl Failure {
    /// Neither Host nor `:authority`.
    #[must_use]
    pub fn missing_host() -> Self {
        plain(StatusCode::BAD_REQUEST, NO_FLAG, "missing_host_header", "")
    }

    /// More than one Host. Differs from Envoy, which joins them: which of two hosts was meant decides policy.
    #[must_use]
    pub fn duplicate_host() -> Self {
        flagged(StatusCode::BAD_REQUEST, ResponseFlag::DPE, "duplicate_host_header", "Bad Request")
    }

    #[must_use]
    pub fn missing_path() -> Self {
        plain(StatusCode::NOT_FOUND, NO_FLAG, "missing_path_rejected", "")
    }

    /// `OPTIONS *` and other targets that are no path.
    #[must_use]
    pub fn absolute_path_rejected() -> Self {
        plain(StatusCode::NOT_FOUND, NO_FLAG, "absolute_path_rejected", "")
    }

    #[must_use]
    pub fn path_normalization_failed() -> Self {
        plain(StatusCode::BAD_REQUEST, NO_FLAG, "path_normalization_failed", "")
    }

    /// Bytes that are no HTTP/1 request, or an ambiguous one (framing, bare line feeds).
    #[must_use]
    pub fn codec_error() -> Self {
        flagged(StatusCode::BAD_REQUEST, ResponseFlag::DPE, "http1.codec_error", "Bad Request")
    }

    #[must_use]
    pub fn headers_too_large() -> Self {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        flagged(status, ResponseFlag::DPE, "http1.headers_too_large", "Request Header Fields Too Large")
    }

    #[must_use]
    pub fn too_many_headers() -> Self {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        flagged(status, ResponseFlag::DPE, "http1.too_many_headers", "Request Header Fields Too Large")
    }

    /// HTTP/1.0 where it is not accepted.
    #[must_use]
    pub fn low_version() -> Self {
        flagged(StatusCode::UPGRADE_REQUIRED, ResponseFlag::DPE, "low_version", "Upgrade Required")
    }

    #[must_use]
    pub fn upgrade_failed() -> Self {
        plain(StatusCode::FORBIDDEN, NO_FLAG, "upgrade_failed", "")
    }

    /// The body or the rest of it did not come in time (`request_timeout`).
    #[must_use]
    pub fn request_timeout() -> Self {
        plain(StatusCode::REQUEST_TIMEOUT, NO_FLAG, "request_overall_timeout", "request timeout")
    }

    /// No byte in either direction for too long; 408 while the request is still coming.
    #[must_use]
    pub fn stream_idle_timeout(request_complete: bool) -> Self {
        let status = if request_complete { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::REQUEST_TIMEOUT };
        flagged(status, ResponseFlag::SI, "stream_idle_timeout", "stream timeout")
    }

    /// The client went away; nobody reads the answer, the log does.
    #[must_use]
    pub fn downstream_disconnect() -> Self {
        // Differs from Envoy, which logs status 0: an `http::StatusCode` cannot be 0. 499 is the customary code for this.
        let status = StatusCode::from_u16(499).expect("499 is within 100..=999");
        flagged(status, ResponseFlag::DC, "downstream_remote_disconnect", "")
    }

    /// A bound of ours on work in flight was hit.
    #[must_use]
    pub fn overloaded() -> Self {
        flagged(StatusCode::SERVICE_UNAVAILABLE, ResponseFlag::OM, "overload", "envoy overloaded")
    }
}
