//! HBONE: TCP streams inside HTTP/2 CONNECT over mTLS.
//!
//! [`TunnelStream`] is one such stream as bytes; [`serve`] is the server's side of one connection, [`Pool`] the client's side
//! of many, [`Connection`] the client's side of one (for a tunnel inside a tunnel). No policy and no address is judged
//! here: callers see authority, headers and peer, and decide.
//!
//! Invariant: a stream that was cut short never reads as a clean end.
//! Spec: RFC 9113 §8.5; ztunnel `src/h2`.

mod client;
mod deferred;
mod error;
mod keepalive;
mod lease;
mod pool;
mod server;
mod stream;

pub use client::{ClientOptions, Connection};
pub use deferred::{Deferred, DeferredFlush};
pub use error::{ConnectError, ServeError};
pub use keepalive::PingTimes;
pub use pool::{Dial, Pool, PoolKey, PoolOptions, Tunnel};
pub use server::{ConnectStream, Peer, ServerOptions, serve};
pub use stream::TunnelStream;
