//! The sockets: connections of our pods out (`outbound`), tunnels in (`inbound`), plaintext in (`passthrough`).
//!
//! What is decided is decided in `select` and `rbac`; here it is carried out, counted and ended.

mod connections;
mod copy;
mod headers;
mod inbound;
mod listener;
mod outbound;
mod passthrough;
mod pod;
mod proxy_protocol;
mod relay;
mod resolver;
mod workers;

pub use connections::{ConnectionView, Connections};
pub use copy::{CopyError, Side, copy_both_ways};
pub use headers::{baggage, forwarded, forwarded_host, traceparent};
pub use pod::{Mesh, Pod, PodId, Settings, StartError};
pub use resolver::Resolver;
pub use workers::{Worker, Workers};
