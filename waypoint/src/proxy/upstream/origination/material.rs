//! Roots, certificates and algorithms of TLS origination: from SDS, from files, from the platform.

use crate::limits;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, SupportedCipherSuite};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::sync::{Arc, LazyLock};
use waypoint_core::model::secret::Secret;
use waypoint_core::model::tls::{Credential, Roots, TlsOrigination, TlsParameters};

/// PEM as it was found; two equal ones make the same configuration.
#[derive(PartialEq)]
pub(super) struct Material {
    roots: RootPem,
    certificate: Option<Arc<Secret>>,
}

#[derive(PartialEq)]
enum RootPem {
    Unchecked,
    System,
    Pem(Arc<Secret>),
}

impl Material {
    pub(super) fn load(
        settings: &TlsOrigination,
        secrets: &HashMap<Arc<str>, Arc<Secret>>,
        files: &mut Files,
    ) -> Result<Self, String> {
        let roots = match &settings.roots {
            Roots::Unchecked => RootPem::Unchecked,
            Roots::System => RootPem::System,
            Roots::Named(credential) => RootPem::Pem(found(credential, secrets, files)?),
        };
        let certificate =
            settings.client_certificate.as_ref().map(|one| found(one, secrets, files)).transpose()?;
        Ok(Self { roots, certificate })
    }

    /// `None`: the peer's chain is not checked.
    pub(super) fn roots(&self) -> Result<Option<Arc<RootCertStore>>, String> {
        match &self.roots {
            RootPem::Unchecked => Ok(None),
            RootPem::System => system_roots().map(Some),
            RootPem::Pem(secret) => {
                let Secret::Roots(pem) = &**secret else { return Err("not a set of roots".to_owned()) };
                let mut store = RootCertStore::empty();
                for certificate in certificates(pem)? {
                    store.add(certificate).map_err(|error| format!("roots: {error}"))?;
                }
                if store.is_empty() {
                    return Err("no certificate in the roots".to_owned());
                }
                Ok(Some(Arc::new(store)))
            }
        }
    }

    #[allow(clippy::type_complexity)] // what rustls takes
    pub(super) fn certificate(
        &self,
    ) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, String> {
        match self.certificate.as_deref() {
            None => Ok(None),
            Some(Secret::Certificate { chain, key }) => {
                let key =
                    PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("private key: {error}"))?;
                Ok(Some((certificates(chain)?, key)))
            }
            Some(Secret::Roots(_)) => Err("roots where a certificate is needed".to_owned()),
        }
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>();
    all.map_err(|error| format!("certificate: {error}"))
}

fn found(
    credential: &Credential,
    secrets: &HashMap<Arc<str>, Arc<Secret>>,
    files: &mut Files,
) -> Result<Arc<Secret>, String> {
    match credential {
        // Envoy's words.
        Credential::Sds(name) => {
            let secret = secrets.get(name).cloned();
            secret.ok_or_else(|| format!("Secret is not supplied by SDS: {name}"))
        }
        Credential::RootFile(path) => Ok(Arc::new(Secret::Roots((*files.read(path)?).into()))),
        Credential::CertificateFiles { chain, key } => Ok(Arc::new(Secret::Certificate {
            chain: (*files.read(chain)?).into(),
            key: (*files.read(key)?).into(),
        })),
    }
}

/// Read once per preparation, however many clusters name them.
#[derive(Default)]
pub(super) struct Files {
    read: HashMap<Arc<str>, Result<Arc<[u8]>, String>>,
    /// Told about already.
    failed: BTreeSet<Arc<str>>,
}

impl Files {
    pub(super) fn begin(&mut self) {
        self.read.clear();
    }

    /// Keeps nothing: keys should be in as few places as possible.
    pub(super) fn end(&mut self) {
        let read = &self.read;
        self.failed.retain(|path| read.get(path).is_some_and(Result::is_err));
        self.read.clear();
    }

    fn read(&mut self, path: &Arc<str>) -> Result<Arc<[u8]>, String> {
        let found = self.read.entry(path.clone()).or_insert_with(|| read(path)).clone();
        if let Err(reason) = &found
            && self.failed.insert(path.clone())
        {
            tracing::warn!(reason, "a file TLS needs cannot be read");
        }
        found
    }
}

fn read(path: &str) -> Result<Arc<[u8]>, String> {
    let mut bytes = Vec::new();
    let limited = File::open(path).map(|file| file.take(limits::FILE_BYTES_MAX + 1));
    limited.and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|error| format!("{path}: {error}"))?;
    if bytes.len() as u64 > limits::FILE_BYTES_MAX {
        return Err(format!("{path}: too large"));
    }
    Ok(bytes.into())
}

/// Loaded when first needed; the image's do not change under it.
fn system_roots() -> Result<Arc<RootCertStore>, String> {
    static ROOTS: LazyLock<Result<Arc<RootCertStore>, String>> = LazyLock::new(|| {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
            return Err(format!("the platform has no root certificates: {}", reasons.join(", ")));
        }
        Ok(Arc::new(store))
    });
    ROOTS.clone()
}

/// aws-lc-rs with what the settings leave of it.
pub(super) fn provider(parameters: &TlsParameters) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !parameters.cipher_suites.is_empty() {
        // Envoy: the list is TLS 1.2's; TLS 1.3 has its own, which cannot be set.
        let newer = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let listed = parameters.cipher_suites.iter().filter_map(|name| suite(name));
        provider.cipher_suites = provider.cipher_suites.into_iter().filter(newer).chain(listed).collect();
    }
    if !parameters.curves.is_empty() {
        provider.kx_groups = parameters.curves.iter().filter_map(|name| curve(name)).collect();
    }
    provider
}

fn suite(name: &str) -> Option<SupportedCipherSuite> {
    use aws_lc_rs::cipher_suite as suites;
    Some(match name {
        "ECDHE-ECDSA-AES128-GCM-SHA256" => suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES256-GCM-SHA384" => suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256" => suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES256-GCM-SHA384" => suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-CHACHA20-POLY1305" => suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        _ => return None,
    })
}

fn curve(name: &str) -> Option<&'static dyn rustls::crypto::SupportedKxGroup> {
    use aws_lc_rs::kx_group;
    Some(match name {
        "X25519MLKEM768" => kx_group::X25519MLKEM768,
        "X25519" => kx_group::X25519,
        "P-256" => kx_group::SECP256R1,
        "P-384" => kx_group::SECP384R1,
        _ => return None,
    })
}

/// Chain and key, for servers in tests.
#[cfg(test)]
pub(super) fn tests_certificate(secret: &Secret) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let material = Material { roots: RootPem::Unchecked, certificate: Some(Arc::new(secret.clone())) };
    material.certificate().unwrap().unwrap()
}
