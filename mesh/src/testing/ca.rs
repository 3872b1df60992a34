//! The authority itself.

use crate::identity::{Certificate, SpiffeId};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::time::{Duration, SystemTime};

/// A root that signs whatever it is asked.
pub struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    root_pem: String,
}

/// What a certificate is to say.
#[derive(Debug, Clone)]
pub struct Issue {
    /// URI SANs, in order.
    pub uris: Vec<String>,
    /// Validity, start.
    pub not_before: SystemTime,
    /// Validity, end.
    pub not_after: SystemTime,
}

impl Issue {
    /// One identity, valid from a minute ago for a day.
    #[must_use]
    pub fn of(id: &SpiffeId) -> Self {
        let now = SystemTime::now();
        Self {
            uris: vec![id.to_string()],
            not_before: now - Duration::from_secs(60),
            not_after: now + Duration::from_secs(86_400),
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        self.fill(&mut params);
        params
    }

    fn fill(&self, params: &mut CertificateParams) {
        params.subject_alt_names =
            self.uris.iter().map(|uri| SanType::URI(uri.as_str().try_into().unwrap())).collect();
        params.not_before = self.not_before.into();
        params.not_after = self.not_after.into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    }
}

impl Default for TestCa {
    fn default() -> Self {
        Self::new()
    }
}

impl TestCa {
    /// A new root.
    ///
    /// # Panics
    /// When the crypto library fails, like every function here.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::OrganizationName, "cluster.local");
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let root_pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), root_pem }
    }

    /// The root.
    #[must_use]
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// A certificate for `id`, valid for a day.
    #[must_use]
    pub fn issue(&self, id: &SpiffeId) -> Certificate {
        let (chain, key, roots) = self.issue_parts(&Issue::of(id).params());
        Certificate::from_der(chain, key, roots).unwrap()
    }

    /// The parts of a certificate that need not be a proper one.
    #[must_use]
    pub fn issue_raw(
        &self,
        issue: &Issue,
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, Vec<CertificateDer<'static>>) {
        self.issue_parts(&issue.params())
    }

    /// A server certificate for a DNS name or IP, such as istiod shows, with its key; both PEM.
    #[must_use]
    pub fn issue_server(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Signs a request as istiod does: its key, but the SAN and times of `issue`. Leaf PEM.
    #[must_use]
    pub fn sign(&self, csr_pem: &str, issue: &Issue) -> String {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
        issue.fill(&mut request.params);
        request.signed_by(&self.issuer).unwrap().pem()
    }

    /// A revocation list that names one certificate. PEM.
    #[must_use]
    pub fn revoke(&self, leaf: &CertificateDer<'_>) -> String {
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).unwrap();
        let now = SystemTime::now();
        let revoked = rcgen::RevokedCertParams {
            serial_number: rcgen::SerialNumber::from_slice(parsed.raw_serial()),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = rcgen::CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + Duration::from_secs(3600)).into(),
            crl_number: rcgen::SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn issue_parts(
        &self,
        params: &CertificateParams,
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, Vec<CertificateDer<'static>>) {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let root = CertificateDer::from_pem_slice(self.root_pem.as_bytes()).unwrap();
        (vec![leaf.into()], PrivateKeyDer::try_from(key.serialize_der()).unwrap(), vec![root])
    }
}
