//! The authority behind istiod's gRPC interface, on loopback with TLS.

use crate::channel::{ChannelOptions, RootSource};
use crate::identity::SpiffeId;
use crate::proto::ca::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer,
};
use crate::proto::ca::{IstioCertificateRequest, IstioCertificateResponse};
use crate::testing::{Issue, TestCa};
use crate::tls::provider;
use prost_types::value::Kind;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What the server does with the next requests; a test changes it as it goes.
#[derive(Debug, Clone)]
pub struct CaBehaviour {
    /// Refuse with this.
    pub refuse: Option<(tonic::Code, String)>,
    /// Issue for this identity, whatever was asked.
    pub identity: Option<SpiffeId>,
    /// Life of the certificates.
    pub ttl: Duration,
    /// Wait before answering.
    pub delay: Duration,
}

impl Default for CaBehaviour {
    fn default() -> Self {
        Self { refuse: None, identity: None, ttl: Duration::from_secs(86_400), delay: Duration::ZERO }
    }
}

/// A request as the server saw it.
#[derive(Debug, Clone, Default)]
pub struct SeenRequest {
    /// `authorization`.
    pub authorization: Option<String>,
    /// `clusterid`.
    pub cluster_id: Option<String>,
    /// Metadata fields of the message, texts only.
    pub metadata: Vec<(String, String)>,
    /// Seconds asked for.
    pub validity: i64,
}

/// A CA on loopback; ends when dropped.
pub struct TestCaServer {
    address: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

struct State {
    ca: Arc<TestCa>,
    behaviour: Mutex<CaBehaviour>,
    seen: Mutex<Vec<SeenRequest>>,
    in_flight: Mutex<(usize, usize)>,
}

struct Service(Arc<State>);

impl TestCaServer {
    /// Serves `ca` on a free loopback port, with a certificate for `localhost` from the same root.
    ///
    /// # Panics
    /// When loopback is not available.
    pub async fn start(ca: Arc<TestCa>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (certificate, key) = ca.issue_server("localhost");
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let state = Arc::new(State {
            ca,
            behaviour: Mutex::default(),
            seen: Mutex::default(),
            in_flight: Mutex::default(),
        });
        let service = IstioCertificateServiceServer::new(Service(Arc::clone(&state)));
        let incoming = TcpListenerStream::new(listener).then(move |tcp| {
            let acceptor = acceptor.clone();
            async move { acceptor.accept(tcp?).await }
        });
        // A client that breaks off its handshake is no reason to stop listening.
        let incoming = incoming.filter_map(Result::ok).map(Ok::<_, io::Error>);
        let task = tokio::spawn(async move {
            let _ =
                tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming).await;
        });
        Self { address, state, task: task.abort_handle() }
    }

    /// How to reach it.
    #[must_use]
    pub fn channel(&self) -> ChannelOptions {
        ChannelOptions {
            address: format!("https://localhost:{}", self.address.port()),
            roots: RootSource::Pem(self.state.ca.root_pem().into()),
            alt_name: None,
        }
    }

    /// Changes what it does from now on.
    ///
    /// # Panics
    /// When a handler panicked.
    pub fn behave(&self, change: impl FnOnce(&mut CaBehaviour)) {
        change(&mut self.state.behaviour.lock().unwrap());
    }

    /// The requests so far.
    ///
    /// # Panics
    /// When a handler panicked.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenRequest> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Most requests that were in flight at once.
    ///
    /// # Panics
    /// When a handler panicked.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.state.in_flight.lock().unwrap().1
    }
}

impl Drop for TestCaServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn arrived(&self) {
        let mut in_flight = self.in_flight.lock().unwrap();
        in_flight.0 += 1;
        in_flight.1 = in_flight.1.max(in_flight.0);
    }
}

#[tonic::async_trait]
impl IstioCertificateService for Service {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let state = &self.0;
        state.arrived();
        let header =
            |name| request.metadata().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut seen = SeenRequest {
            authorization: header("authorization"),
            cluster_id: header("clusterid"),
            ..SeenRequest::default()
        };
        let request = request.into_inner();
        seen.validity = request.validity_duration;
        for (key, value) in request.metadata.unwrap_or_default().fields {
            if let Some(Kind::StringValue(text)) = value.kind {
                seen.metadata.push((key, text));
            }
        }
        let asked =
            seen.metadata.iter().find(|(key, _)| key == "ImpersonatedIdentity").map(|(_, id)| id.clone());
        state.seen.lock().unwrap().push(seen);
        let behaviour = state.behaviour.lock().unwrap().clone();
        tokio::time::sleep(behaviour.delay).await;
        state.in_flight.lock().unwrap().0 -= 1;
        if let Some((code, message)) = behaviour.refuse {
            return Err(Status::new(code, message));
        }
        let id = behaviour.identity.map(|id| id.to_string()).or(asked);
        let now = SystemTime::now();
        let issue = Issue {
            uris: vec![id.ok_or_else(|| Status::unauthenticated("no identity"))?],
            not_before: now,
            not_after: now + behaviour.ttl,
        };
        let leaf = state.ca.sign(&request.csr, &issue);
        Ok(Response::new(IstioCertificateResponse { cert_chain: vec![leaf, state.ca.root_pem().to_owned()] }))
    }
}
