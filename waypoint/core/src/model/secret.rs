//! Secrets that arrive by SDS. Envoy: `extensions.transport_sockets.tls.v3.Secret`.

use std::fmt;

/// PEM, as sent; what it is worth is seen when TLS is set up with it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Roots(Box<[u8]>),
    Certificate { chain: Box<[u8]>, key: Box<[u8]> },
}

/// Never prints what it holds.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Roots(_) => "Roots",
            Self::Certificate { .. } => "Certificate",
        })
    }
}
