use super::{CaClient, CaError, CaOptions};
use crate::channel::{Auth, ChannelError, TokenSource};
use crate::identity::{CertificateError, SpiffeId};
use crate::testing::{TestCa, TestCaServer};
use std::sync::Arc;
use std::time::Duration;

fn id() -> SpiffeId {
    SpiffeId::new("cluster.local", "default", "sleep")
}

fn options(server: &TestCaServer) -> CaOptions {
    let auth =
        Auth { token: TokenSource::Literal("jwt".into()), cluster_id: "Kubernetes".into(), headers: vec![] };
    CaOptions { impersonate: true, ttl: Duration::from_secs(3600), ..CaOptions::new(server.channel(), auth) }
}

#[tokio::test]
async fn a_request_carries_credentials_metadata_and_validity() {
    let server = TestCaServer::start(Arc::new(TestCa::new())).await;
    let client = CaClient::new(CaOptions { cert_signer: Some("signer".into()), ..options(&server) }).unwrap();
    let certificate = client.fetch(&id()).await.unwrap();
    assert_eq!(certificate.identity, id());
    let [seen] = &server.seen()[..] else { panic!("one request") };
    assert_eq!(seen.authorization.as_deref(), Some("Bearer jwt"));
    assert_eq!(seen.cluster_id.as_deref(), Some("Kubernetes"));
    let mut metadata = seen.metadata.clone();
    metadata.sort();
    let asked = id();
    let expect = [("CertSigner", "signer"), ("ImpersonatedIdentity", asked.as_str())];
    assert_eq!(metadata, expect.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(seen.validity, 3600);
}

#[tokio::test]
async fn impersonating_insists_on_the_identity_and_a_token_takes_what_it_is() {
    let server = TestCaServer::start(Arc::new(TestCa::new())).await;
    let other = SpiffeId::new("cluster.local", "default", "other");
    server.behave(|behaviour| behaviour.identity = Some(other.clone()));
    let refused = CaClient::new(options(&server)).unwrap().fetch(&id()).await.unwrap_err();
    assert!(matches!(refused, CaError::Answer(CertificateError::OtherIdentity { .. })), "{refused:?}");
    let own = CaClient::new(CaOptions { impersonate: false, ..options(&server) }).unwrap();
    assert_eq!(own.fetch(&id()).await.unwrap().identity, other);
    assert_eq!(server.seen()[1].metadata, []);
}

#[tokio::test]
async fn failures_say_what_failed() {
    let server = TestCaServer::start(Arc::new(TestCa::new())).await;
    server.behave(|behaviour| behaviour.refuse = Some((tonic::Code::Unauthenticated, "who are you".into())));
    let error = CaClient::new(options(&server)).unwrap().fetch(&id()).await.unwrap_err();
    assert!(error.to_string().contains("who are you"), "{error}");
    let mut no_token = options(&server);
    no_token.auth.token = TokenSource::File("/nonexistent/token".into());
    let error = CaClient::new(no_token).unwrap().fetch(&id()).await.unwrap_err();
    assert!(matches!(error, CaError::Channel(ChannelError::File { .. })), "{error:?}");
    let mut plaintext = options(&server);
    plaintext.channel.address = "http://istiod.istio-system.svc:15010".into();
    assert!(matches!(CaClient::new(plaintext), Err(ChannelError::Address(_))));
}
