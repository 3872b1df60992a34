//! Delta-xDS client for istiod: protos, a sans-IO protocol machine, a tonic shell, and the raw resources for dumps.
//!
//! It never interprets a resource beyond its name and version: what a resource means, and whether it is acceptable,
//! its [`client::Handler`] says. Generic over the gRPC channel, so it knows nothing of tokens, roots or identities.

pub mod backoff;
pub mod cache;
pub mod client;
pub mod delta;
pub mod dump;
pub mod limits;
pub mod proto;
pub mod type_url;
pub mod typed_struct;
