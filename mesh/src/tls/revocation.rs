//! Certificates the mesh's CA took back (`ca-crl.pem`).
//!
//! As Istio's ztunnel and agent do: the whole chain is checked, a certificate no list speaks of is accepted, and a list past its
//! next update still counts. Only handshakes are checked; a tunnel that is open stays open.

use rustls::pki_types::pem::{self, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::{CertificateError, Error, OtherError, RootCertStore};
use std::sync::Arc;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList,
    RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};

/// The lists in force. Empty revokes nobody.
#[derive(Debug, Default)]
pub struct RevocationLists {
    lists: Vec<CertRevocationList<'static>>,
    /// As rustls wants them for its client verifier.
    der: Vec<CertificateRevocationListDer<'static>>,
}

/// The file holds something else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate revocation list: {0}")]
pub struct RevocationError(String);

impl RevocationLists {
    /// Reads one or more lists in PEM, or one in DER. Nothing at all is no list.
    pub fn parse(bytes: &[u8]) -> Result<Self, RevocationError> {
        let is_der = bytes.first() == Some(&0x30);
        let der = if is_der { vec![bytes.to_vec().into()] } else { parse_pem(bytes)? };
        let lists = der
            .iter()
            .map(|list| OwnedCertRevocationList::from_der(list).map(CertRevocationList::from))
            .collect::<Result<_, _>>()
            .map_err(|error| RevocationError(error.to_string()))?;
        Ok(Self { lists, der })
    }

    pub(super) fn der(&self) -> Vec<CertificateRevocationListDer<'static>> {
        self.der.clone()
    }

    /// Is a server's chain, known to lead to `roots`, free of revoked certificates? rustls offers this for clients only.
    pub(super) fn check_server(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        roots: &RootCertStore,
        now: UnixTime,
    ) -> Result<(), Error> {
        let lists: Vec<_> = self.lists.iter().collect();
        let Ok(options) = RevocationOptionsBuilder::new(&lists) else { return Ok(()) };
        let options = options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Allow)
            .with_expiration_policy(ExpirationPolicy::Ignore)
            .build();
        let refused = |error| match error {
            webpki::Error::CertRevoked => Error::InvalidCertificate(CertificateError::Revoked),
            error => Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error)))),
        };
        EndEntityCert::try_from(leaf)
            .and_then(|leaf| {
                let algorithms = super::provider().signature_verification_algorithms.all;
                let usage = KeyUsage::server_auth();
                leaf.verify_for_usage(
                    algorithms,
                    &roots.roots,
                    intermediates,
                    now,
                    usage,
                    Some(options),
                    None,
                )
                .map(|_| ())
            })
            .map_err(refused)
    }
}

/// Other sections are an error: a bundle of certificates in this place would revoke nobody and look as if it did.
fn parse_pem(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, RevocationError> {
    let error = |error: pem::Error| RevocationError(error.to_string());
    let sections =
        <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>().map_err(error)?;
    if sections.is_empty() && !bytes.trim_ascii().is_empty() {
        return Err(RevocationError("neither PEM nor DER".into()));
    }
    sections
        .into_iter()
        .map(|(kind, der)| match kind {
            SectionKind::Crl => Ok(der.into()),
            other => Err(RevocationError(format!("a {other:?} among the lists"))),
        })
        .collect()
}
