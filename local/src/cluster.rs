//! The cluster: its objects, and what the controllers of Kubernetes make of them. Pure: no IO, no clock, no randomness of
//! its own; `Now` brings both in. The node agent (`agent`) carries out what is decided here.

pub mod addresses;
pub mod admission;
pub mod builtin;
pub mod controllers;
pub mod endpoints;
pub mod enrolment;
pub mod gateway;
pub mod images;
pub mod names;
pub mod pod_env;
pub mod pod_spec;
pub mod pod_volumes;
pub mod quantity;
pub mod rollout;
pub mod status;
pub mod store;
pub mod tokens;
pub mod workloads;

pub use names::Now;
pub use store::Store;
