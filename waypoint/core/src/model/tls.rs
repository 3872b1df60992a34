//! TLS a cluster begins itself, towards something outside the mesh (DestinationRule SIMPLE or MUTUAL).
//! Envoy: `extensions.transport_sockets.tls.v3.UpstreamTlsContext`.
//!
//! Names of secrets only: the secrets themselves arrive by SDS or are files, see `secret`.

use super::matcher::StringMatcher;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct TlsOrigination {
    /// Equal hashes mean the same settings: what was compiled for one serves the other.
    pub content_hash: u64,
    pub sni: Sni,
    pub alpn: Vec<Arc<str>>,
    pub roots: Roots,
    pub names: PeerNames,
    pub client_certificate: Option<Credential>,
    pub parameters: TlsParameters,
}

/// The server name asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sni {
    None,
    Fixed(Arc<str>),
    /// `auto_sni`: the host of the request.
    Host,
}

/// What the peer's chain must lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// `insecureSkipVerify`.
    Unchecked,
    /// The platform's (`file-root:system`).
    System,
    Named(Credential),
}

/// Which names a peer whose chain is good may have.
#[derive(Clone, Debug)]
pub enum PeerNames {
    /// Any. Envoy checks no name unless told to.
    Any,
    /// One of its subject alternative names matches one of these.
    Matching(Vec<SanMatcher>),
    /// `auto_san_validation`: the host of the request.
    Host,
    /// `auto_sni_san_validation`: the server name asked for.
    Sni,
}

#[derive(Clone, Debug)]
pub struct SanMatcher {
    pub kind: SanKind,
    pub matcher: StringMatcher,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanKind {
    /// `match_subject_alt_names`: whatever type the name has.
    Any,
    Dns,
    Uri,
    Email,
    Ip,
}

/// Where roots or a certificate come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// By SDS over ADS: `kubernetes://…`, `configmap://…`.
    Sds(Arc<str>),
    /// `file-root:PATH`.
    RootFile(Arc<str>),
    /// `file-cert:CHAIN~KEY`.
    CertificateFiles { chain: Arc<str>, key: Arc<str> },
}

/// Empty lists mean the provider's choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsParameters {
    pub versions: TlsVersions,
    /// Of TLS 1.2, in OpenSSL's spelling; only such as are known.
    pub cipher_suites: Vec<Arc<str>>,
    pub curves: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    #[default]
    Tls12AndTls13,
    Tls12,
    Tls13,
}
