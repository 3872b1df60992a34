//! Asks istiod's CA for one certificate.

use crate::channel::{Auth, ChannelError, ChannelOptions, connect_lazy};
use crate::identity::{Certificate, CertificateError, CsrError, SigningRequest, SpiffeId};
use crate::limits;
use crate::proto::ca::IstioCertificateRequest;
use crate::proto::ca::istio_certificate_service_client::IstioCertificateServiceClient;
use crate::tls::TlsError;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::timeout;
use tonic::transport::Channel;

/// Where the CA is and as whom we ask.
#[derive(Debug, Clone)]
pub struct CaOptions {
    /// Address and roots of the CA, usually istiod's.
    pub channel: ChannelOptions,
    /// Our token, cluster id and extra headers.
    pub auth: Auth,
    /// Validity to ask for.
    pub ttl: Duration,
    /// Kubernetes CSR signer to name in the request (`CertSigner`), for an istiod that delegates signing.
    pub cert_signer: Option<String>,
    /// ztunnel: ask for other workloads' certificates (`ImpersonatedIdentity`), and insist on getting exactly those.
    /// Otherwise the certificate is the token's, and its SAN is what the CA says it is.
    pub impersonate: bool,
}

impl CaOptions {
    /// A waypoint's: the token's own identity, Istio's default validity.
    #[must_use]
    pub fn new(channel: ChannelOptions, auth: Auth) -> Self {
        Self { channel, auth, ttl: limits::CERTIFICATE_TTL, cert_signer: None, impersonate: false }
    }
}

/// Why there is no certificate.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CaError {
    /// The key or request could not be made.
    #[error(transparent)]
    Request(#[from] CsrError),
    /// No channel to the CA, or no credentials to show it.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The CA did not answer, or refused. istiod's reason for refusing an impersonation is only in its own log.
    #[error("CA: {}: {}", .0.code(), .0.message())]
    Rpc(Arc<tonic::Status>),
    /// The answer is no certificate for us.
    #[error("CA answer: {0}")]
    Answer(#[from] CertificateError),
    /// The answer cannot be used for TLS.
    #[error("CA answer: {0}")]
    Tls(#[from] TlsError),
    /// The certificate ran out and no new one came; the text is the last failure.
    #[error("certificate expired; last failure: {0}")]
    Expired(String),
    /// The identity was forgotten while somebody waited for it.
    #[error("identity is no longer in use")]
    Forgotten,
}

/// The CA's client. Cheap to clone; one connection.
#[derive(Debug, Clone)]
pub struct CaClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: CaOptions,
    /// Made on first use, because its worker runs on the runtime it is made in.
    channel: OnceLock<Channel>,
}

impl CaClient {
    /// Checks the address; connects on first use, on the tokio runtime of that use.
    pub fn new(options: CaOptions) -> Result<Self, ChannelError> {
        options.channel.check()?;
        Ok(Self { inner: Arc::new(Inner { options, channel: OnceLock::new() }) })
    }

    /// Makes a key and gets it certified for `identity`.
    pub async fn fetch(&self, identity: &SpiffeId) -> Result<Certificate, CaError> {
        let options = &self.inner.options;
        let SigningRequest { csr_pem, key_pem } = SigningRequest::generate(identity)?;
        let mut request = tonic::Request::new(IstioCertificateRequest {
            csr: csr_pem,
            validity_duration: i64::try_from(options.ttl.as_secs()).unwrap_or(i64::MAX),
            metadata: metadata(options, identity),
        });
        options.auth.apply(request.metadata_mut())?;
        let mut client =
            IstioCertificateServiceClient::new(self.channel()?).max_decoding_message_size(limits::CA_MESSAGE);
        let answer = timeout(limits::CSR_TIMEOUT, client.create_certificate(request))
            .await
            .unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("no answer in time")))
            .map_err(|status| CaError::Rpc(Arc::new(status)))?;
        let certificate = Certificate::from_pem_chain(&answer.into_inner().cert_chain, &key_pem)?;
        if options.impersonate && certificate.identity != *identity {
            let (asked, issued) = (identity.clone(), certificate.identity);
            return Err(CertificateError::OtherIdentity { asked, issued }.into());
        }
        Ok(certificate)
    }

    fn channel(&self) -> Result<Channel, ChannelError> {
        if let Some(channel) = self.inner.channel.get() {
            return Ok(channel.clone());
        }
        let channel = connect_lazy(&self.inner.options.channel)?;
        Ok(self.inner.channel.get_or_init(|| channel).clone())
    }
}

/// istiod's node authorizer reads `ImpersonatedIdentity`, its CSR delegation `CertSigner`.
fn metadata(options: &CaOptions, identity: &SpiffeId) -> Option<Struct> {
    let impersonated = options.impersonate.then(|| ("ImpersonatedIdentity", identity.to_string()));
    let signer = options.cert_signer.clone().map(|signer| ("CertSigner", signer));
    let fields: BTreeMap<String, Value> = impersonated
        .into_iter()
        .chain(signer)
        .map(|(key, text)| (key.to_owned(), Value { kind: Some(Kind::StringValue(text)) }))
        .collect();
    (!fields.is_empty()).then_some(Struct { fields })
}

#[cfg(test)]
mod tests;
