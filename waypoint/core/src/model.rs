//! Layer 0: what the waypoint serves, as immutable data named as Envoy names it.
//!
//! Built by `translate`, shared by `Arc`, read by everything above. No protos, no serde, no behaviour beyond
//! constructors and look-ups. What cannot be honoured is represented, never dropped: see [`Refusal`].

pub mod access_log;
pub mod cluster;
pub mod descriptor;
pub mod dns;
pub mod endpoint;
pub mod expression;
pub mod ext_authz;
pub mod global_rate_limit;
pub mod grpc_service;
pub mod http_chain;
pub mod jwks;
pub mod jwt;
pub mod listener;
pub mod log_service;
pub mod matcher;
pub mod metadata;
pub mod node;
pub mod rate_limit;
pub mod rbac;
pub mod route;
pub mod routes;
pub mod secret;
pub mod tls;
pub mod tracing;
pub mod workload;

use std::sync::Arc;

/// Why a chain, route or cluster must refuse everything: something in its configuration cannot be honoured.
///
/// Serving it without that part would be silently unenforced policy, so the smallest unit that contains the part
/// answers 503 with `details`, and the rest of the listener goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Goes into `%RESPONSE_CODE_DETAILS%`, e.g. `unsupported_filter{envoy.filters.http.wasm:my-plugin}`. No spaces.
    pub details: Arc<str>,
}

impl Refusal {
    #[must_use]
    pub fn new(kind: &str, what: &str) -> Self {
        let what: String = what.chars().map(|c| if c.is_whitespace() { '_' } else { c }).collect();
        Self { details: format!("{kind}{{{what}}}").into() }
    }
}
