//! TLS to endpoints outside the mesh. One rustls configuration per set of settings, made when a snapshot is published,
//! never by a request.
//!
//! Invariant: settings whose secrets are missing or bad refuse every connection and say why; there is no fallback to
//! plain text or to other roots.

mod material;
mod verify;

use self::material::{Files, Material};
use self::verify::{Expected, PeerVerifier};
use super::error::UpstreamError;
use super::stream::RawStream;
use arc_swap::ArcSwap;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use waypoint_core::failure::ResetReason;
use waypoint_core::model::cluster::Transport;
use waypoint_core::model::tls::{PeerNames, Sni, TlsOrigination, TlsVersions};
use waypoint_core::store::Snapshot;

/// Settings whose peers must be named as each request's host: configurations kept of one cluster's.
const HOSTS: usize = 256;

/// What all clusters' TLS settings were made into. Shared by all workers.
#[derive(Default)]
pub struct TlsContexts {
    by_hash: ArcSwap<HashMap<u64, Arc<TlsContext>>>,
    files: Mutex<Files>,
}

struct TlsContext {
    settings: Arc<TlsOrigination>,
    material: Result<Material, String>,
    /// By the name the peer must have; `None` where that does not depend on the request.
    configs: Mutex<HashMap<Option<Arc<str>>, Arc<ClientConfig>>>,
}

impl TlsContexts {
    /// Makes what the snapshot's clusters need. To be called before the snapshot is published, and when files may have changed.
    pub fn prepare(&self, snapshot: &Snapshot) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.begin();
        let known = self.by_hash.load();
        let mut contexts = HashMap::new();
        for entry in snapshot.clusters.values() {
            let Transport::Tls(settings) = &entry.cluster.transport else { continue };
            contexts.entry(settings.content_hash).or_insert_with(|| {
                let material = Material::load(settings, &snapshot.secrets, &mut files);
                match known.get(&settings.content_hash) {
                    Some(known) if known.material == material => known.clone(),
                    _ => Arc::new(TlsContext::new(settings.clone(), material)),
                }
            });
        }
        files.end();
        if !(known.is_empty() && contexts.is_empty()) {
            self.by_hash.store(Arc::new(contexts));
        }
    }

    /// The handshake. `host` is the request's, without port; `peer` stands in where no server name is asked for.
    ///
    /// # Errors
    /// When the settings cannot be used, or the peer is not whom they expect.
    pub async fn connect(
        &self,
        settings: &TlsOrigination,
        (host, peer): (Option<&Arc<str>>, IpAddr),
        stream: RawStream,
    ) -> Result<TlsStream<RawStream>, UpstreamError> {
        let context = self.by_hash.load().get(&settings.content_hash).cloned();
        let context = context.ok_or_else(|| refused("TLS is not set up"))?;
        let (config, name) = context.config(host, peer).map_err(|reason| refused(&reason))?;
        TlsConnector::from(config).connect(name, stream).await.map_err(|error| refused(&error.to_string()))
    }
}

/// Envoy: `TLS_error:…` in the transport failure reason, flag UF.
fn refused(reason: &str) -> UpstreamError {
    UpstreamError::connect(ResetReason::RemoteConnectionFailure, format!("TLS_error: {reason}"))
}

impl TlsContext {
    fn new(settings: Arc<TlsOrigination>, material: Result<Material, String>) -> Self {
        let context = Self { settings, material, configs: Mutex::default() };
        if context.expected_host(Some(&"placeholder".into())).is_none()
            && let Err(reason) = context.made(None)
        {
            tracing::warn!(reason, "a cluster's TLS cannot be set up: its connections are refused");
        }
        context
    }

    fn config(
        &self,
        host: Option<&Arc<str>>,
        peer: IpAddr,
    ) -> Result<(Arc<ClientConfig>, ServerName<'static>), String> {
        let wanted = match &self.settings.sni {
            Sni::None => None,
            Sni::Fixed(name) => Some(name),
            Sni::Host => host,
        };
        let name = match wanted {
            Some(name) => {
                ServerName::try_from(name.to_string()).map_err(|_| format!("{name:?} is no server name"))?
            }
            None => ServerName::IpAddress(peer.into()), // not sent
        };
        let expected = self.expected_host(host);
        if matches!(self.settings.names, PeerNames::Host) && expected.is_none() {
            return Err("no host to check the server's name against".to_owned());
        }
        Ok((self.made(expected)?, name))
    }

    /// The name in the request that the peer must have.
    fn expected_host(&self, host: Option<&Arc<str>>) -> Option<Arc<str>> {
        match (&self.settings.names, &self.settings.sni) {
            (PeerNames::Host, _) | (PeerNames::Sni, Sni::Host) => host.cloned(),
            _ => None,
        }
    }

    fn made(&self, host: Option<Arc<str>>) -> Result<Arc<ClientConfig>, String> {
        let material = self.material.as_ref().map_err(Clone::clone)?;
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(&host) {
            return Ok(config.clone());
        }
        let expected = self.expected(host.as_deref())?;
        let config = Arc::new(build(&self.settings, material, expected)?);
        if configs.len() >= HOSTS {
            configs.clear();
        }
        configs.insert(host, config.clone());
        Ok(config)
    }

    fn expected(&self, host: Option<&str>) -> Result<Expected, String> {
        let named = |name: &str| {
            let name =
                ServerName::try_from(name.to_owned()).map_err(|_| format!("{name:?} is no server name"))?;
            Ok::<_, String>(Expected::Name(name))
        };
        match (&self.settings.names, &self.settings.sni, host) {
            (PeerNames::Any, ..) => Ok(Expected::Anybody),
            (PeerNames::Matching(matchers), ..) => Ok(Expected::Matching(matchers.clone())),
            (PeerNames::Sni, Sni::Fixed(name), _) => named(name),
            (PeerNames::Host | PeerNames::Sni, _, Some(host)) => named(host),
            (PeerNames::Host | PeerNames::Sni, _, None) => {
                Err("no host to check the server's name against".to_owned())
            }
        }
    }
}

fn build(settings: &TlsOrigination, material: &Material, expected: Expected) -> Result<ClientConfig, String> {
    let provider = Arc::new(material::provider(&settings.parameters));
    let verifier = PeerVerifier::new(material.roots()?, expected, &provider);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(settings.parameters.versions))
        .map_err(|error| error.to_string())?
        .dangerous() // the word is rustls'; `verify` says what is checked
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match material.certificate()? {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| format!("client certificate: {error}"))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = settings.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(config)
}

fn versions(versions: TlsVersions) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    static ONLY_12: &[&SupportedProtocolVersion] = &[&TLS12];
    static ONLY_13: &[&SupportedProtocolVersion] = &[&TLS13];
    match versions {
        TlsVersions::Tls12AndTls13 => BOTH,
        TlsVersions::Tls12 => ONLY_12,
        TlsVersions::Tls13 => ONLY_13,
    }
}

#[cfg(test)]
mod tests;
