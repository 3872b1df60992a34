//! A certificate together with the rustls configurations made from it.
//!
//! Invariant: a configuration is built once per certificate (server) or once per certificate and expectation (client), so that
//! session tickets survive from one handshake to the next and no handshake pays for parsing roots.
//! Differs from ztunnel: it builds a fresh configuration, with resumption off, for every handshake.

use crate::identity::Certificate;
use crate::limits;
use crate::tls::verify::{AcceptedClients, ExpectedServer};
use crate::tls::{ExpectedPeer, RevocationLists, provider};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A workload's certificate, ready to be used on either side of a handshake.
#[derive(Debug)]
pub struct TlsIdentity {
    certificate: Arc<Certificate>,
    revoked: Arc<RevocationLists>,
    roots: Arc<RootCertStore>,
    server: Arc<ServerConfig>,
    /// Keyed by the accepted clients, for servers that accept others than the default.
    servers: Mutex<HashMap<ExpectedPeer, Arc<ServerConfig>>>,
    clients: Mutex<HashMap<ExpectedPeer, Arc<ClientConfig>>>,
}

/// What beside the certificate decides who is accepted.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// Trust domains beside the certificate's own whose workloads a server accepts.
    pub trust_domain_aliases: Vec<String>,
    /// Peers that are refused.
    pub revoked: Arc<RevocationLists>,
}

/// The certificate cannot be used for TLS: key and leaf do not match, or a root cannot be parsed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("certificate of {identity}: {source}")]
pub struct TlsError {
    /// Whose certificate.
    pub identity: crate::identity::SpiffeId,
    /// What rustls says.
    pub source: rustls::Error,
}

impl TlsIdentity {
    /// Builds the server configuration, which accepts clients of the certificate's own trust domain and its aliases.
    pub fn new(certificate: Arc<Certificate>, options: &TlsOptions) -> Result<Self, TlsError> {
        let aliases = options.trust_domain_aliases.iter().map(String::as_str);
        let domains = std::iter::once(certificate.identity.trust_domain()).chain(aliases);
        let accepted = ExpectedPeer::trust_domains(domains);
        match Self::build_server(&certificate, accepted, &options.revoked) {
            Ok((roots, server)) => Ok(Self {
                certificate,
                revoked: Arc::clone(&options.revoked),
                roots,
                server,
                servers: Mutex::default(),
                clients: Mutex::default(),
            }),
            Err(source) => Err(TlsError { identity: certificate.identity.clone(), source }),
        }
    }

    /// What the CA issued.
    #[must_use]
    pub fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }

    /// For a server that accepts clients of our trust domain and its aliases.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// For a server that accepts exactly `accepted`, whatever our own trust domain is.
    pub fn server_config_accepting(&self, accepted: &ExpectedPeer) -> Result<Arc<ServerConfig>, TlsError> {
        cached(&self.servers, accepted, || self.new_server(accepted))
    }

    /// For a client that accepts exactly `expected`.
    #[must_use]
    pub fn client_config(&self, expected: &ExpectedPeer) -> Arc<ClientConfig> {
        cached(&self.clients, expected, || self.new_client(expected))
            .expect("the same certificate and roots made the server configuration")
    }

    fn build_server(
        certificate: &Certificate,
        accepted: ExpectedPeer,
        revoked: &RevocationLists,
    ) -> Result<(Arc<RootCertStore>, Arc<ServerConfig>), rustls::Error> {
        let mut roots = RootCertStore::empty();
        for root in &certificate.roots {
            roots.add(root.clone())?;
        }
        let roots = Arc::new(roots);
        let server = server_config(certificate, Arc::clone(&roots), accepted, revoked)?;
        Ok((roots, server))
    }

    fn new_server(&self, accepted: &ExpectedPeer) -> Result<Arc<ServerConfig>, TlsError> {
        server_config(&self.certificate, Arc::clone(&self.roots), accepted.clone(), &self.revoked)
            .map_err(|source| TlsError { identity: self.certificate.identity.clone(), source })
    }

    fn new_client(&self, expected: &ExpectedPeer) -> Result<Arc<ClientConfig>, rustls::Error> {
        let verifier =
            ExpectedServer::new(Arc::clone(&self.roots), expected.clone(), Arc::clone(&self.revoked))?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(self.certificate.chain.clone(), self.certificate.key.clone_key())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.enable_sni = false;
        // Tickets are kept per configuration, thus per own certificate and expectation: a resumed session skips the
        // verifier, and must not reach anyone a full handshake would have refused. Few: one peer has few addresses.
        config.resumption = Resumption::in_memory_sessions(8);
        Ok(Arc::new(config))
    }
}

fn server_config(
    certificate: &Certificate,
    roots: Arc<RootCertStore>,
    accepted: ExpectedPeer,
    revoked: &RevocationLists,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(AcceptedClients::new(roots, accepted, revoked)?)
        .with_single_cert(certificate.chain.clone(), certificate.key.clone_key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.ticketer = Ticketer::new()?;
    // One resumption per connection is all a pooled client uses; rustls would send two tickets.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// The configuration for `key`, made at most once while the cache has room.
fn cached<C, E>(
    cache: &Mutex<HashMap<ExpectedPeer, Arc<C>>>,
    key: &ExpectedPeer,
    make: impl FnOnce() -> Result<Arc<C>, E>,
) -> Result<Arc<C>, E> {
    let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(config) = cache.get(key) {
        return Ok(Arc::clone(config));
    }
    let config = make()?;
    // Full: dropping everything costs each live peer one rebuild and keeps the bookkeeping out of the hot path.
    if cache.len() >= limits::CLIENT_CONFIGS_PER_IDENTITY {
        cache.clear();
    }
    cache.insert(key.clone(), Arc::clone(&config));
    Ok(config)
}

#[cfg(test)]
mod tests;
