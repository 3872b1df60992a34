//! Layer 5: tunnels in, requests through, connections out.

pub mod accept;
pub mod admission;
pub mod authz;
pub mod call;
pub mod collector;
pub mod connection;
pub mod http;
pub mod jwks;
pub mod log_batches;
pub mod log_sink;
pub mod mirror;
pub mod ratelimit;
pub mod refused;
pub mod resolver;
pub mod sni;
pub mod sniff;
pub mod spans;
pub mod stream;
pub mod tcp;
pub mod telemetry;
pub mod tunnel;
pub mod upgrade;
pub mod upstream;
pub mod worker;
