//! What both proxies share: workload identity and its TLS, the channel to istiod and its CA, HBONE, and the surfaces of a
//! process (lifecycle, admin server, log).
//!
//! It is not a proxy: it knows no xDS, no routing and no policy. Its arrows point one way
//! (`tests/layers.rs`): `identity` ← `tls` ← `channel` ← `secrets` ← `hbone`; the surfaces stand beside them.

pub mod admin;
pub mod channel;
pub mod hbone;
pub mod identity;
pub mod lifecycle;
pub mod limits;
pub mod log;
pub mod net;
pub mod proto;
pub mod secrets;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod version;
