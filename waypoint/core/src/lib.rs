//! The waypoint's decisions, without its IO.
//!
//! Layers, lower never imports higher (held by `tests/layers.rs`):
//! 0 `model`, `failure`, `limits`, `dice` · 1 `matching`, `grpc` · 2 `policy`, `routing`, `balance` · 3 `translate`, `telemetry` · 4 `store`.
//! Layers 0–2 never await, never read a clock and never do IO: time and randomness are arguments.
//! Only `translate` sees Envoy's protos; no module here opens a socket.

pub mod balance;
pub mod dice;
pub mod failure;
pub mod grpc;
pub mod limits;
pub mod matching;
pub mod model;
pub mod policy;
pub mod routing;
pub mod store;
pub mod telemetry;
pub mod translate;
