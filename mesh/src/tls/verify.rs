//! The two certificate verifiers. Chain building, validity, key usage and signatures are webpki's; what is ours is the
//! SPIFFE rule that replaces the DNS name check: exactly one URI SAN, and it must be expected.

use crate::identity::SpiffeId;
use crate::identity::uri_sans;
use crate::tls::{ExpectedPeer, RevocationLists};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, CommonState, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    RootCertStore, SignatureScheme,
};
use std::sync::Arc;

/// Why a peer whose chain is good is refused all the same.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("peer certificate has {0} URI SANs, not one")]
    UriSans(usize),
    #[error("peer certificate: {0}")]
    Unreadable(String),
    #[error("peer is {actual}, expected {expected:?}")]
    Unexpected { actual: SpiffeId, expected: ExpectedPeer },
}

/// The SPIFFE id of a finished session's peer. `None` before the handshake ended, or when the peer showed no certificate.
#[must_use]
pub fn peer_identity(session: &CommonState) -> Option<SpiffeId> {
    leaf_identity(session.peer_certificates()?.first()?).ok()
}

fn leaf_identity(leaf: &CertificateDer<'_>) -> Result<SpiffeId, PeerError> {
    let uris = uri_sans(leaf).map_err(|error| PeerError::Unreadable(error.to_string()))?;
    match uris.as_slice() {
        [uri] => SpiffeId::parse(uri).map_err(|error| PeerError::Unreadable(error.to_string())),
        _ => Err(PeerError::UriSans(uris.len())),
    }
}

fn check_identity(leaf: &CertificateDer<'_>, expected: &ExpectedPeer) -> Result<(), Error> {
    let refusal = match leaf_identity(leaf) {
        Ok(actual) if expected.accepts(&actual) => return Ok(()),
        Ok(actual) => PeerError::Unexpected { actual, expected: expected.clone() },
        Err(error) => error,
    };
    // ApplicationVerificationFailure's alert (access_denied) without its loss of the reason.
    Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal)))))
}

/// A server's view of clients.
#[derive(Debug)]
pub(crate) struct AcceptedClients {
    chain: Arc<dyn ClientCertVerifier>,
    accepted: ExpectedPeer,
}

impl AcceptedClients {
    pub(crate) fn new(
        roots: Arc<RootCertStore>,
        accepted: ExpectedPeer,
        revoked: &RevocationLists,
    ) -> Result<Arc<Self>, Error> {
        let chain = WebPkiClientVerifier::builder_with_provider(roots, super::provider())
            .with_crls(revoked.der())
            .allow_unknown_revocation_status()
            // Naming our roots would cost every handshake bytes; SPIFFE clients hold one certificate and do not choose.
            .clear_root_hint_subjects()
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Arc::new(Self { chain, accepted }))
    }
}

impl ClientCertVerifier for AcceptedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(leaf, intermediates, now)?;
        check_identity(leaf, &self.accepted)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// A client's view of the server it dialled.
#[derive(Debug)]
pub(crate) struct ExpectedServer {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    /// Signatures only; its name check is what `expected` replaces.
    signatures: Arc<WebPkiServerVerifier>,
    expected: ExpectedPeer,
    revoked: Arc<RevocationLists>,
}

impl ExpectedServer {
    pub(crate) fn new(
        roots: Arc<RootCertStore>,
        expected: ExpectedPeer,
        revoked: Arc<RevocationLists>,
    ) -> Result<Arc<Self>, Error> {
        let provider = super::provider();
        let algorithms = provider.signature_verification_algorithms;
        let signatures = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Arc::new(Self { roots, algorithms, signatures, expected, revoked }))
    }
}

impl ServerCertVerifier for ExpectedServer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        self.revoked.check_server(leaf, intermediates, &self.roots, now)?;
        check_identity(leaf, &self.expected)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.supported_verify_schemes()
    }
}
