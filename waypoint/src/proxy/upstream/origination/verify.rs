//! Whom a TLS server outside the mesh may be. Chain building, validity and signatures are webpki's; which names are
//! acceptable is the cluster's to say. Envoy: `DefaultCertValidator`.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use std::net::IpAddr;
use std::sync::Arc;
use waypoint_core::matching::string::matches;
use waypoint_core::model::matcher::StringPattern;
use waypoint_core::model::tls::{SanKind, SanMatcher};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// The names a peer whose chain is good may have.
#[derive(Debug)]
pub(super) enum Expected {
    Anybody,
    Name(ServerName<'static>),
    Matching(Vec<SanMatcher>),
}

#[derive(Debug)]
pub(super) struct PeerVerifier {
    /// `None`: any certificate will do (`insecureSkipVerify`).
    roots: Option<Arc<RootCertStore>>,
    expected: Expected,
    algorithms: WebPkiSupportedAlgorithms,
}

#[derive(Debug, thiserror::Error)]
#[error("none of the certificate's names is expected: {0}")]
struct Unexpected(String);

impl PeerVerifier {
    pub(super) fn new(
        roots: Option<Arc<RootCertStore>>,
        expected: Expected,
        provider: &CryptoProvider,
    ) -> Self {
        Self { roots, expected, algorithms: provider.signature_verification_algorithms }
    }

    fn check_names(&self, leaf: &CertificateDer<'_>, parsed: &ParsedCertificate<'_>) -> Result<(), Error> {
        match &self.expected {
            Expected::Anybody => Ok(()),
            Expected::Name(name) => verify_server_name(parsed, name),
            Expected::Matching(matchers) => {
                let names = names(leaf)?;
                let any = matchers.iter().any(|one| accepts(one, &names, parsed));
                let names = || names.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ");
                if any { Ok(()) } else { Err(other(Unexpected(names()))) }
            }
        }
    }
}

/// An exact DNS name is compared as host names are, so that a wildcard certificate covers it.
fn accepts(wanted: &SanMatcher, names: &[(SanKind, String)], parsed: &ParsedCertificate<'_>) -> bool {
    if let StringPattern::Exact(name) = &wanted.matcher.pattern
        && matches!(wanted.kind, SanKind::Any | SanKind::Dns)
        && let Ok(name @ ServerName::DnsName(_)) = ServerName::try_from(&**name)
        && verify_server_name(parsed, &name).is_ok()
    {
        return true;
    }
    let kind = |kind: SanKind| wanted.kind == SanKind::Any || wanted.kind == kind;
    names.iter().any(|(found, name)| kind(*found) && matches(&wanted.matcher, name))
}

/// The subject alternative names, as text.
fn names(leaf: &CertificateDer<'_>) -> Result<Vec<(SanKind, String)>, Error> {
    let bad = || Error::InvalidCertificate(CertificateError::BadEncoding);
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| bad())?;
    let Some(extension) = certificate.subject_alternative_name().map_err(|_| bad())? else {
        return Ok(Vec::new());
    };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((SanKind::Dns, (*name).to_owned())),
        GeneralName::URI(name) => Some((SanKind::Uri, (*name).to_owned())),
        GeneralName::RFC822Name(name) => Some((SanKind::Email, (*name).to_owned())),
        GeneralName::IPAddress(bytes) => ip(bytes).map(|ip| (SanKind::Ip, ip.to_string())),
        _ => None,
    });
    Ok(names.collect())
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.ok().or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

fn other(reason: Unexpected) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(reason))))
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, self.algorithms.all)?;
        self.check_names(leaf, &parsed)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
