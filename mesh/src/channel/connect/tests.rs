use super::{ChannelError, ChannelOptions, RootSource, connect};
use crate::testing::{TestCa, TestCaServer};
use std::sync::Arc;

fn options(address: &str) -> ChannelOptions {
    ChannelOptions { address: address.into(), roots: RootSource::Pem("".into()), alt_name: None }
}

#[track_caller]
fn check(address: &str, accepted: bool) {
    assert_eq!(options(address).check().is_ok(), accepted, "{address:?}");
}

#[test]
fn plaintext_is_for_loopback_only() {
    check("https://istiod.istio-system.svc:15012", true);
    check("istiod.istio-system.svc:15012", true);
    check("https://[::1]:15012", true);
    check("http://127.0.0.1:15010", true);
    check("http://[::1]:15010", true);
    check("http://localhost:15010", true);
    check("http://istiod.istio-system.svc:15010", false);
    check("http://10.0.0.1:15010", false);
    check("http://localhost.evil.example:15010", false);
    check("ftp://localhost:21", false);
    check("https://", false);
    check("", false);
}

#[tokio::test]
async fn the_servers_name_and_root_are_verified_and_roots_are_read_on_connect() {
    let ca = Arc::new(TestCa::new());
    let server = TestCaServer::start(Arc::clone(&ca)).await;
    let good = server.channel();
    connect(&good).await.unwrap();

    let file = tempfile::NamedTempFile::new().unwrap();
    let from_file = ChannelOptions { roots: RootSource::File(file.path().into()), ..good.clone() };
    assert!(connect(&from_file).await.is_err(), "an empty root file");
    std::fs::write(file.path(), TestCa::new().root_pem()).unwrap();
    let error = connect(&from_file).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    std::fs::write(file.path(), ca.root_pem()).unwrap();
    connect(&from_file).await.unwrap();

    let by_ip = good.address.replace("localhost", "127.0.0.1");
    let wrong_name = ChannelOptions { address: by_ip.clone(), ..good.clone() };
    assert!(connect(&wrong_name).await.is_err());
    let named = ChannelOptions { address: by_ip, alt_name: Some("localhost".into()), ..good };
    connect(&named).await.unwrap();
}

#[test]
fn roots_must_be_there() {
    assert!(matches!(RootSource::File("/nonexistent".into()).read(), Err(ChannelError::File { .. })));
    assert!(matches!(RootSource::Pem("text".into()).read(), Err(ChannelError::Roots(_))));
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(crate::limits::CREDENTIAL_FILE + 1).unwrap();
    assert!(matches!(RootSource::File(file.path().into()).read(), Err(ChannelError::File { .. })));
}
