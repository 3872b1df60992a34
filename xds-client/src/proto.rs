//! The protobuf types istiod speaks.

/// Envoy's and xDS's own (`envoy::config::listener::v3`, `xds::r#type::matcher::v3`, …).
pub use envoy_types::pb as envoy;

/// `istio.workload`: Workload, Service and Address of WDS.
#[allow(clippy::all, clippy::unwrap_used, unreachable_pub)] // generated
pub mod workload {
    include!(concat!(env!("OUT_DIR"), "/istio.workload.rs"));
}

/// `istio.security`: the L4 Authorization ztunnel enforces.
#[allow(clippy::all, clippy::unwrap_used, unreachable_pub)] // generated
pub mod authorization {
    include!(concat!(env!("OUT_DIR"), "/istio.security.rs"));
}

/// `stats`: configuration of the `istio.stats` filter.
#[allow(clippy::all, clippy::unwrap_used, unreachable_pub)] // generated
pub mod stats {
    include!(concat!(env!("OUT_DIR"), "/stats.rs"));
}

/// Well-known types Envoy's protos hold their extensions in.
pub use prost_types::{Any, Duration, Struct, Value};
