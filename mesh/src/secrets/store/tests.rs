use super::{CertificateStatus, SecretStore, StoreOptions};
use crate::channel::Auth;
use crate::identity::SpiffeId;
use crate::limits;
use crate::secrets::{CaClient, CaError, CaOptions};
use crate::testing::{CaBehaviour, TestCa, TestCaServer};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

fn id(name: &str) -> SpiffeId {
    SpiffeId::new("cluster.local", "default", name)
}

async fn start(change: impl FnOnce(&mut CaBehaviour)) -> (TestCaServer, SecretStore) {
    let server = TestCaServer::start(Arc::new(TestCa::new())).await;
    server.behave(change);
    let options = CaOptions { impersonate: true, ..CaOptions::new(server.channel(), Auth::default()) };
    let store = SecretStore::new(CaClient::new(options).unwrap(), StoreOptions::default());
    (server, store)
}

/// Asks again until `done`.
async fn until<T, R: Future<Output = Option<T>>>(what: &str, mut done: impl FnMut() -> R) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = done().await {
            println!("{what}: after {:?}", start.elapsed());
            return value;
        }
        assert!(start.elapsed() < LONG, "{what}: not within {LONG:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_request_serves_everybody_who_waits() {
    let (server, store) = start(|behaviour| behaviour.delay = Duration::from_millis(200)).await;
    let a = id("a");
    assert!(store.current(&a).is_none());
    let (one, two) = tokio::join!(store.identity(&a), store.identity(&a));
    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
    assert_eq!(store.current(&a).unwrap().certificate().identity, a);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn rotation_replaces_a_certificate_before_it_expires() {
    let (_server, store) = start(|behaviour| behaviour.ttl = Duration::from_secs(4)).await;
    let a = id("a");
    let first = store.identity(&a).await.unwrap();
    let second = until("rotation", || async {
        let current = store.identity(&a).await.expect("there is always a valid one");
        (!Arc::ptr_eq(&current, &first)).then_some(current)
    })
    .await;
    assert_ne!(first.certificate().serial, second.certificate().serial);
    assert!(second.certificate().not_after > first.certificate().not_after);
}

#[tokio::test]
async fn a_failing_ca_costs_nothing_until_the_certificate_expires() {
    let (server, store) = start(|behaviour| behaviour.ttl = Duration::from_secs(4)).await;
    let a = id("a");
    let first = store.identity(&a).await.unwrap();
    server.behave(|behaviour| behaviour.refuse = Some((tonic::Code::Unavailable, "istiod is down".into())));
    until("a refused renewal", || async { (server.seen().len() > 1).then_some(()) }).await;
    assert!(Arc::ptr_eq(&store.identity(&a).await.unwrap(), &first), "the valid one is kept");
    let error = until("expiry", || async { store.identity(&a).await.err() }).await;
    assert!(matches!(&error, CaError::Expired(reason) if reason.contains("istiod is down")), "{error:?}");
    assert!(store.current(&a).is_none());
    assert!(matches!(&store.states()[0].status, CertificateStatus::Unavailable(_)));
    server.behave(|behaviour| behaviour.refuse = None);
    until("recovery", || async { store.identity(&a).await.ok() }).await;
}

#[tokio::test]
async fn a_first_failure_is_told_and_retried() {
    let (server, store) =
        start(|behaviour| behaviour.refuse = Some((tonic::Code::Unavailable, "warming".into()))).await;
    let a = id("a");
    let error = store.identity(&a).await.unwrap_err();
    assert!(matches!(error, CaError::Rpc(_)), "{error:?}");
    server.behave(|behaviour| behaviour.refuse = None);
    until("the retry", || async { store.identity(&a).await.ok() }).await;
}

#[tokio::test]
async fn requests_at_once_are_bounded() {
    let (server, store) = start(|behaviour| behaviour.delay = Duration::from_millis(150)).await;
    let ids: Vec<_> = (0..3 * limits::CSR_CONCURRENCY).map(|n| id(&format!("s{n}"))).collect();
    ids.iter().for_each(|id| store.prefetch(id));
    for id in &ids {
        store.identity(id).await.unwrap();
    }
    assert_eq!(server.most_at_once(), limits::CSR_CONCURRENCY);
}

#[tokio::test]
async fn forgetting_stops_the_rotation_and_tells_who_waits() {
    let (server, store) = start(|behaviour| behaviour.ttl = Duration::from_secs(2)).await;
    let (a, b) = (id("a"), id("b"));
    store.identity(&a).await.unwrap();
    store.forget(&a);
    assert!(store.current(&a).is_none() && store.states().is_empty());
    server.behave(|behaviour| behaviour.delay = LONG);
    let waiting = tokio::spawn({
        let (store, b) = (store.clone(), b.clone());
        async move { store.identity(&b).await }
    });
    until("b's request", || async { (server.seen().len() == 2).then_some(()) }).await;
    store.forget(&b);
    assert!(matches!(waiting.await.unwrap(), Err(CaError::Forgotten)));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(server.seen().len(), 2, "a's renewal would have been due");
}

#[tokio::test]
async fn states_show_what_a_dump_needs() {
    let (server, store) = start(|_| {}).await;
    store.identity(&id("b")).await.unwrap();
    server.behave(|behaviour| behaviour.delay = LONG);
    store.prefetch(&id("a"));
    let states = store.states();
    let shown: Vec<_> =
        states.iter().map(|state| (state.identity.clone(), state.status.to_string())).collect();
    assert_eq!(shown, [(id("a"), "Initializing".to_owned()), (id("b"), "Available".to_owned())]);
    assert!(states[0].chain.is_empty());
    assert!(states[1].chain[0].pem.starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert_eq!(states[1].roots.len(), 1);
}

#[tokio::test]
async fn a_fixed_store_has_what_it_was_given() {
    let ca = TestCa::new();
    let store = SecretStore::fixed(vec![ca.issue(&id("a"))]);
    assert_eq!(store.identity(&id("a")).await.unwrap().certificate().identity, id("a"));
    assert!(store.identity(&id("b")).await.is_err());
}

#[tokio::test]
async fn a_new_revocation_list_is_in_force_without_a_new_certificate() {
    let ca = Arc::new(TestCa::new());
    let server = TestCaServer::start(Arc::clone(&ca)).await;
    let directory = tempfile::tempdir().unwrap();
    let crl = directory.path().join("ca-crl.pem");
    let options = CaOptions { impersonate: true, ..CaOptions::new(server.channel(), Auth::default()) };
    let store = SecretStore::new(
        CaClient::new(options).unwrap(),
        StoreOptions { crl: Some(crl.clone()), ..StoreOptions::default() },
    );
    let before = store.identity(&id("a")).await.unwrap();
    std::fs::write(&crl, ca.revoke(&before.certificate().chain[0])).unwrap();
    let after = until("the list is in force", || async {
        store.current(&id("a")).filter(|current| !Arc::ptr_eq(current, &before))
    })
    .await;
    assert!(Arc::ptr_eq(before.certificate(), after.certificate()), "the same certificate");
    assert_eq!(server.seen().len(), 1);
}
