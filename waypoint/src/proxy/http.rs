//! HTTP inside a tunnel.

pub mod body;
pub mod exchange;
pub mod framing;
pub mod h1;
pub mod h2;
pub mod head;
pub mod header_case;
pub mod reply;
pub mod serve;
pub mod session;
pub mod websocket;
