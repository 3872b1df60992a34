//! mTLS between workloads: TLS 1.3 only, ALPN `h2`, both sides show a SPIFFE certificate, no SNI.
//!
//! Invariant: a finished handshake means the peer's chain leads to our roots, it carries exactly one URI SAN, and that SAN
//! is what the side expected: on a client the [`ExpectedPeer`] of the dial, on a server an accepted trust domain.
//! Authorisation is not done here; it needs the identity, which [`peer_identity`] reads from the finished session.
//!
//! Spec: RFC 8446; X.509-SVID; ztunnel `src/tls`.

mod expect;
mod handshake;
mod identity;
mod provider;
mod revocation;
mod verify;

pub use expect::ExpectedPeer;
pub use handshake::{accept, connect};
pub use identity::{TlsError, TlsIdentity, TlsOptions};
pub use provider::{control_plane_client, provider};
pub use revocation::{RevocationError, RevocationLists};
pub use verify::peer_identity;
