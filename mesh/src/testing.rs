//! A certificate authority for tests, in memory and over gRPC. Feature `testing`; never part of a binary.

// A test's own scaffolding may panic; it has no caller to report to.
#![allow(clippy::unwrap_used)]

mod ca;
mod ca_server;

pub use ca::{Issue, TestCa};
pub use ca_server::{CaBehaviour, SeenRequest, TestCaServer};
