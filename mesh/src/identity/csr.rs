//! A certificate request as istiod's CA expects it from a node proxy: fresh ECDSA P-256 key, empty subject, one URI SAN.
//!
//! istiod takes the identity from the caller's token (or, for ztunnel, from the metadata) and not from the request; the SAN
//! is there for CAs that do read it.

use crate::identity::SpiffeId;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use std::fmt;

/// A private key and the request that proves its possession.
pub struct SigningRequest {
    /// PKCS#10, PEM.
    pub csr_pem: String,
    /// The private key, PKCS#8 PEM. Never leaves the process.
    pub key_pem: String,
}

/// The crypto library could not make a key or sign with it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("certificate request: {0}")]
pub struct CsrError(#[from] rcgen::Error);

impl SigningRequest {
    /// Makes a new key and a request for `identity` signed with it.
    pub fn generate(identity: &SpiffeId) -> Result<Self, CsrError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(identity.as_str().try_into()?)];
        let csr_pem = params.serialize_request(&key)?.pem()?;
        Ok(Self { csr_pem, key_pem: key.serialize_pem() })
    }
}

/// The key must not reach a log.
impl fmt::Debug for SigningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningRequest").field("csr_pem", &self.csr_pem).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
