//! HBONE end to end: real TCP on loopback, real TLS, both sides ours.

// All of it is test code; clippy allows unwrap only in test functions, not in their helpers.
#![allow(clippy::unwrap_used)]

mod pool;
mod rig;
mod server;
mod stream;
