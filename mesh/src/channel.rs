//! The gRPC channel to istiod: server-authenticated TLS against a root file, and the token every call carries.
//!
//! Not the xDS client and not the CA client; both run over it.
//! Invariant: roots are read again on each connect and the token on each call, since both rotate on disk; a bearer token
//! never crosses a plaintext connection that leaves the machine.
//! Spec: Istio `pkg/istio-agent`, `security/pkg/nodeagent/caclient`.

mod auth;
mod connect;

pub use auth::{Auth, TokenSource};
pub(crate) use connect::read_bounded;
pub use connect::{ChannelError, ChannelOptions, RootSource, connect, connect_lazy};
