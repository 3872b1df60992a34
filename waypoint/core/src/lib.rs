//! The waypoint's decisions, without its IO.
//!
//! Layers, lower never imports higher (held by `tests/layers.rs`):
//! 0 `model`, `failure`, `limits` · 1 `matching` · 2 `policy`, `routing`, `balance` · 3 `translate`, `telemetry` · 4 `store`.
//! Layers 0–2 never await, never read a clock and never do IO: time and randomness are arguments.
//! Only `translate` sees Envoy's protos; no module here opens a socket.

pub mod failure;
pub mod limits;
pub mod model;
