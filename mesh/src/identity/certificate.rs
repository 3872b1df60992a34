//! A workload's certificate as the CA answered it: key, chain, the roots peers are checked against, and what a dump shows of it.
//!
//! Invariant: the leaf carries exactly one URI SAN, which is `identity`; the key belongs to the leaf's request; `roots` is not empty.
//! Not a trust decision: nothing here verifies a signature (`tls` does, for peers).

use crate::identity::{ParseSpiffeIdError, SpiffeId};
use crate::limits;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::time::{Duration, SystemTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

/// A key and certificate chain for one identity, with the trust anchors that came along.
#[derive(Debug)]
pub struct Certificate {
    /// The leaf's SPIFFE id.
    pub identity: SpiffeId,
    /// Leaf first, then intermediates; no roots.
    pub chain: Vec<CertificateDer<'static>>,
    /// Private key of the leaf.
    pub key: PrivateKeyDer<'static>,
    /// Trust anchors for peers of this workload.
    pub roots: Vec<CertificateDer<'static>>,
    /// Leaf's validity, start.
    pub not_before: SystemTime,
    /// Leaf's validity, end.
    pub not_after: SystemTime,
    /// Leaf's serial number, decimal.
    pub serial: String,
    /// `chain` and `roots` as a config dump shows them.
    pub chain_info: Vec<CertificateInfo>,
    /// See `chain_info`.
    pub roots_info: Vec<CertificateInfo>,
}

/// What a config dump says about one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// PEM text.
    pub pem: String,
    /// Decimal.
    pub serial: String,
    /// Validity, start.
    pub not_before: SystemTime,
    /// Validity, end.
    pub not_after: SystemTime,
}

/// Why a CA's answer is no usable certificate.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CertificateError {
    /// Fewer than a leaf and a root.
    #[error("the chain has {0} element(s); a leaf and a root are needed")]
    Incomplete(usize),
    /// More certificates than `limits::CA_CHAIN_CERTIFICATES`.
    #[error("the answer holds more than {} certificates", limits::CA_CHAIN_CERTIFICATES)]
    TooMany,
    /// Not PEM, or not DER inside.
    #[error("not a certificate: {0}")]
    Malformed(String),
    /// The private key cannot be read.
    #[error("not a private key: {0}")]
    Key(String),
    /// The leaf must carry exactly one URI SAN.
    #[error("the leaf has {0} URI SANs, not one")]
    UriSans(usize),
    /// The leaf's URI SAN is no Istio identity.
    #[error(transparent)]
    Identity(#[from] ParseSpiffeIdError),
    /// The CA issued somebody else's certificate.
    #[error("asked for {asked}, the CA issued {issued}")]
    OtherIdentity {
        /// In the request.
        asked: SpiffeId,
        /// In the answer.
        issued: SpiffeId,
    },
}

impl Certificate {
    /// Reads a CA's `cert_chain`: leaf first, intermediates, and last the root(s), possibly several PEMs in one element.
    pub fn from_pem_chain(chain: &[String], key_pem: &str) -> Result<Self, CertificateError> {
        let [leaf, intermediates @ .., roots] = chain else {
            return Err(CertificateError::Incomplete(chain.len()));
        };
        let mut own = parse_pem(leaf)?;
        for element in intermediates {
            own.extend(parse_pem(element)?);
        }
        let roots = parse_pem(roots)?;
        if own.len() + roots.len() > limits::CA_CHAIN_CERTIFICATES {
            return Err(CertificateError::TooMany);
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|error| CertificateError::Key(error.to_string()))?;
        Self::from_der(own, key, roots)
    }

    /// Reads the leaf of `chain` and puts the parts together.
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, CertificateError> {
        let (Some(leaf), false) = (chain.first(), roots.is_empty()) else {
            return Err(CertificateError::Incomplete(chain.len() + roots.len()));
        };
        let identity = match uri_sans(leaf)?.as_slice() {
            [uri] => SpiffeId::parse(uri)?,
            uris => return Err(CertificateError::UriSans(uris.len())),
        };
        let chain_info = chain.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
        let roots_info = roots.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
        let CertificateInfo { serial, not_before, not_after, .. } = chain_info[0].clone();
        Ok(Self { identity, chain, key, roots, not_before, not_after, serial, chain_info, roots_info })
    }

    /// True while `now` lies inside the leaf's validity.
    #[must_use]
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.not_before <= now && now < self.not_after
    }
}

/// The URI SANs of a certificate, in order.
pub(crate) fn uri_sans(certificate: &CertificateDer<'_>) -> Result<Vec<String>, CertificateError> {
    let parsed = parse_der(certificate)?;
    // More than one SAN extension is refused by the parser's own duplicate check (`subject_alternative_name`).
    parsed.subject_alternative_name().map_err(|error| CertificateError::Malformed(error.to_string()))?;
    Ok(parsed
        .extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(san) => Some(san),
            _ => None,
        })
        .flat_map(|san| &san.general_names)
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        })
        .collect())
}

fn parse_der<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) => Err(CertificateError::Malformed("bytes after the certificate".into())),
        Err(error) => Err(CertificateError::Malformed(error.to_string())),
    }
}

fn parse_pem(text: &str) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .take(limits::CA_CHAIN_CERTIFICATES + 1)
        .collect::<Result<Vec<_>, pem::Error>>()
        .map_err(|error| CertificateError::Malformed(error.to_string()))?;
    if certificates.is_empty() {
        return Err(CertificateError::Malformed("no PEM certificate in the text".into()));
    }
    Ok(certificates)
}

fn describe(certificate: &CertificateDer<'_>) -> Result<CertificateInfo, CertificateError> {
    let parsed = parse_der(certificate)?;
    Ok(CertificateInfo {
        pem: to_pem(certificate),
        serial: parsed.tbs_certificate.serial.to_string(),
        not_before: instant(parsed.validity().not_before.timestamp()),
        not_after: instant(parsed.validity().not_after.timestamp()),
    })
}

fn instant(unix_seconds: i64) -> SystemTime {
    // A certificate dated before 1970 is as good as one from 1970.
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(unix_seconds).unwrap_or_default())
}

fn to_pem(certificate: &CertificateDer<'_>) -> String {
    let unix_lines = ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF);
    ::pem::encode_config(&::pem::Pem::new("CERTIFICATE", certificate.as_ref()), unix_lines)
}

#[cfg(test)]
mod tests;
