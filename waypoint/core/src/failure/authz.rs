//! Refusals of the external authorization filter. Envoy: all of them carry the flag UAEX.

use super::{Failure, ResponseFlag, ResponseFlags};
use http::StatusCode;

impl Failure {
    #[must_use]
    pub fn authz_denied(status: StatusCode) -> Self {
        authz(status, "ext_authz_denied")
    }

    #[must_use]
    pub fn authz_error(status: StatusCode) -> Self {
        authz(status, "ext_authz_error")
    }

    #[must_use]
    pub fn authz_invalid() -> Self {
        authz(StatusCode::INTERNAL_SERVER_ERROR, "ext_authz_invalid")
    }

    /// The body does not fit into a check that must have all of it.
    #[must_use]
    pub fn payload_too_large() -> Self {
        let flags = ResponseFlags::NONE;
        let body = "Payload Too Large".into();
        let details = "request_payload_too_large".into();
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, flags, details, body, grpc_status: None }
    }
}

fn authz(status: StatusCode, details: &'static str) -> Failure {
    let flags = ResponseFlags::of(ResponseFlag::UAEX);
    Failure { status, flags, details: details.into(), body: "".into(), grpc_status: None }
}
