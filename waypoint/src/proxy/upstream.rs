//! Everything towards endpoints: who they are, how to reach them, and connections kept for the next request.

pub mod cluster;
pub mod destination;
pub mod error;
pub mod http;
pub mod pool;
pub mod transport;
