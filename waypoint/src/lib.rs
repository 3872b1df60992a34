//! The waypoint: an L7 proxy for Istio's ambient mesh. This package is its IO; every decision is `waypoint-core`'s.
//!
//! Layers, lower never imports higher (held by `tests/layers.rs`): `limits` · `env`, `args` · `config` · `node`, `agent` ·
//! `proxy` · `admin` · `app`.

pub mod admin;
pub mod agent;
pub mod app;
pub mod args;
pub mod config;
pub mod env;
pub mod limits;
pub mod node;
pub mod proxy;
