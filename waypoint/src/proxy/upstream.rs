//! Everything towards endpoints: who they are, how to reach them, and connections kept for the next request.

pub mod cluster;
pub mod destination;
mod dial;
mod double;
pub mod dynamic;
pub mod error;
pub mod http;
pub mod origination;
pub mod pool;
mod proxy_header;
pub mod recased;
mod stream;
pub mod transport;
