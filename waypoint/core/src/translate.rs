//! Layer 3: xDS resources to the model. Total: every resource becomes a value with warnings, or a [`Rejection`].
//!
//! Three ways a part can be bad, and what becomes of it:
//! * it cannot be read, or contradicts itself (bad regex, bad CIDR, unknown log operator): the resource is rejected,
//!   the last good version stays;
//! * it is understood but cannot be honoured (an unknown filter, an unknown field): the smallest unit around it (route,
//!   chain, cluster, listener) carries a [`Refusal`] and answers 503;
//! * only telemetry would be missing: a [`Warning`].
//!
//! A field is honoured, or listed in `ignored.rs` with a reason, or makes its unit a refusal: each room takes the fields
//! it knows out of the message and `wire::leftover` looks at what remains.
//! Only this module sees Envoy's and Istio's protos. Envoy: validation in `source/*/config_impl.cc`.
#![allow(deprecated)] // istiod sends fields Envoy calls deprecated (max_grpc_timeout, RBAC metadata); reading them is the task

pub mod access_log;
mod cel;
mod chain_match;
pub mod check;
pub mod cluster;
mod connect_terminate;
mod dynamic_forward_proxy;
pub mod ecds;
pub mod endpoint;
mod ext_authz;
mod format;
mod grpc_service;
mod http_chain;
mod http_filters;
mod ignored;
mod jwt;
pub mod listener;
pub mod log_entry;
mod log_service;
mod matcher;
pub mod node;
mod pb;
pub mod problem;
mod rate_limit;
mod rbac;
pub mod rls;
mod route;
pub mod secret;
mod stats;
mod tcp_chain;
mod tracing;
pub mod update;
mod values;
mod wire;
pub mod workload;

pub use problem::{Rejection, Translated, Warning};

#[cfg(test)]
mod tests;
