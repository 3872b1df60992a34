//! ztunnel: the L4 node proxy of an ambient mesh. It takes the connections of its node's pods, carries them to their
//! destination inside HBONE, and on the receiving side lets in what the policies allow.
//!
//! Rooms, from pure to IO: `state` (what istiod said) → `rbac`, `select` (decisions) → `telemetry` (what is told about them)
//! → `proxy` (sockets) → `inpod` (pods of this node), `dns`, `xds` → `admin`, `app`. `tests/layers.rs` holds them to it.

pub mod admin;
pub mod app;
pub mod args;
pub mod config;
pub mod dns;
pub mod inpod;
pub mod limits;
pub mod proxy;
pub mod rbac;
pub mod select;
pub mod sockets;
pub mod state;
pub mod telemetry;
pub mod xds;
