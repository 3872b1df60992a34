use super::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::sync::Arc;

fn hello(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(mesh::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn names_are_found_at_whatever_pace_they_come() {
    let bytes = hello("db.example.com");
    for end in 0..bytes.len() {
        assert_eq!(look(&bytes[..end]), Hello::More, "after {end} bytes");
    }
    assert_eq!(look(&bytes), Hello::Name(Some("db.example.com".into())));
}

#[test]
fn a_client_may_name_no_server() {
    assert_eq!(look(&hello("192.0.2.1")), Hello::Name(None));
}

#[test]
fn other_protocols_are_told_apart() {
    assert_eq!(look(b"GET / HTTP/1.1\r\n\r\n"), Hello::Other);
    assert_eq!(look(b""), Hello::More);
}
