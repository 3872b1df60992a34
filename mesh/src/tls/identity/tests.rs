use super::{TlsIdentity, TlsOptions};
use crate::identity::{Certificate, SpiffeId};
use crate::testing::{Issue, TestCa};
use crate::tls::{self, ExpectedPeer, RevocationLists, provider};
use rustls::{ClientConfig, NamedGroup, ProtocolVersion, RootCertStore, ServerConfig};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn id(text: &str) -> SpiffeId {
    SpiffeId::parse(text).unwrap()
}

fn tls_identity(ca: &TestCa, text: &str) -> TlsIdentity {
    TlsIdentity::new(Arc::new(ca.issue(&id(text))), &TlsOptions::default()).unwrap()
}

/// The server's view of a handshake, and the client's, who reads one byte to learn what the server thought of it.
async fn handshake(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> (io::Result<SpiffeId>, io::Result<(Option<SpiffeId>, bool)>) {
    let (near, far) = duplex(1 << 16);
    let serving = tokio::spawn(async move {
        let (mut stream, peer) = tls::accept(server, far).await?;
        stream.write_all(b"x").await?;
        stream.shutdown().await?;
        Ok(peer)
    });
    let client = async {
        let mut stream = tls::connect(client, ADDRESS, near).await?;
        stream.read_exact(&mut [0]).await?;
        let session = stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(session.alpn_protocol(), Some(&b"h2"[..]));
        let post_quantum = session
            .negotiated_key_exchange_group()
            .is_some_and(|group| group.name() == NamedGroup::X25519MLKEM768);
        Ok((tls::peer_identity(session), post_quantum))
    };
    let client = client.await;
    (serving.await.unwrap(), client)
}

const A: &str = "spiffe://td/ns/n/sa/a";
const B: &str = "spiffe://td/ns/n/sa/b";

#[tokio::test]
async fn both_sides_learn_the_others_identity_over_a_post_quantum_exchange() {
    let ca = TestCa::new();
    let (a, b) = (tls_identity(&ca, A), tls_identity(&ca, B));
    let (server, client) = handshake(b.server_config(), a.client_config(&ExpectedPeer::exactly(id(B)))).await;
    assert_eq!(server.unwrap(), id(A));
    assert_eq!(client.unwrap(), (Some(id(B)), true));
}

#[tokio::test]
async fn a_resumed_session_still_knows_the_peer() {
    let ca = TestCa::new();
    let (a, b) = (tls_identity(&ca, A), tls_identity(&ca, B));
    let client = a.client_config(&ExpectedPeer::exactly(id(B)));
    for _ in 0..3 {
        let (server, client) = handshake(b.server_config(), Arc::clone(&client)).await;
        assert_eq!((server.unwrap(), client.unwrap().0), (id(A), Some(id(B))));
    }
}

#[tokio::test]
async fn the_client_refuses_whom_it_does_not_expect() {
    let (ca, foreign) = (TestCa::new(), TestCa::new());
    let (a, b) = (tls_identity(&ca, A), tls_identity(&ca, B));
    for expected in [
        ExpectedPeer::exactly(id(A)),
        ExpectedPeer::Exact([].into()),
        ExpectedPeer::trust_domains(["other"]),
        ExpectedPeer::UriPrefixes([].into()),
    ] {
        let (server, client) = handshake(b.server_config(), a.client_config(&expected)).await;
        assert!(client.is_err() && server.is_err(), "{expected:?}");
    }
    let impostor = tls_identity(&foreign, B);
    let (server, client) =
        handshake(impostor.server_config(), a.client_config(&ExpectedPeer::exactly(id(B)))).await;
    assert!(client.is_err() && server.is_err(), "right name, wrong root");
}

#[tokio::test]
async fn the_server_refuses_a_foreign_trust_domain_unless_it_is_an_alias() {
    let ca = TestCa::new();
    let stranger = tls_identity(&ca, "spiffe://old-td/ns/n/sa/a");
    let expected = ExpectedPeer::exactly(id(B));
    let server = tls_identity(&ca, B);
    let (refused, client) = handshake(server.server_config(), stranger.client_config(&expected)).await;
    assert!(refused.is_err() && client.is_err());
    let aliases = TlsOptions { trust_domain_aliases: vec!["old-td".into()], ..TlsOptions::default() };
    let with_alias = TlsIdentity::new(Arc::new(ca.issue(&id(B))), &aliases).unwrap();
    let (accepted, _) = handshake(with_alias.server_config(), stranger.client_config(&expected)).await;
    assert_eq!(accepted.unwrap(), id("spiffe://old-td/ns/n/sa/a"));
    let only_a = server.server_config_accepting(&ExpectedPeer::exactly(id(A))).unwrap();
    let (refused, _) = handshake(only_a, stranger.client_config(&expected)).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn the_server_refuses_a_client_without_a_certificate() {
    let ca = TestCa::new();
    let server = tls_identity(&ca, B);
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate().roots[0].clone()).unwrap();
    let verifier =
        tls::verify::ExpectedServer::new(Arc::new(roots), ExpectedPeer::exactly(id(B)), Arc::default())
            .unwrap();
    let mut anonymous = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    anonymous.alpn_protocols = vec![b"h2".to_vec()];
    let (refused, client) = handshake(server.server_config(), Arc::new(anonymous)).await;
    assert!(refused.is_err() && client.is_err());
}

/// An identity whose certificate says something else than the type would allow.
fn irregular(ca: &TestCa, issue: &Issue) -> TlsIdentity {
    let (chain, key, roots) = ca.issue_raw(issue);
    let proper = ca.issue(&id(A));
    TlsIdentity::new(Arc::new(Certificate { chain, key, roots, ..proper }), &TlsOptions::default()).unwrap()
}

#[tokio::test]
async fn irregular_certificates_are_refused_by_both_sides() {
    let ca = TestCa::new();
    let good = tls_identity(&ca, B);
    let now = SystemTime::now();
    let of_a = Issue::of(&id(A));
    for (what, issue) in [
        ("two URI SANs", Issue { uris: vec![A.into(), B.into()], ..of_a.clone() }),
        ("no URI SAN", Issue { uris: vec![], ..of_a.clone() }),
        ("not an Istio identity", Issue { uris: vec!["spiffe://td/workload".into()], ..of_a.clone() }),
        ("expired", Issue { not_after: now - Duration::from_secs(10), ..of_a.clone() }),
        ("not yet valid", Issue { not_before: now + Duration::from_secs(3600), ..of_a.clone() }),
    ] {
        let bad = irregular(&ca, &issue);
        let anyone = ExpectedPeer::trust_domains(["td"]);
        let (server, _) = handshake(good.server_config(), bad.client_config(&anyone)).await;
        assert!(server.is_err(), "as a client: {what}");
        let (_, client) = handshake(bad.server_config(), good.client_config(&anyone)).await;
        assert!(client.is_err(), "as a server: {what}");
    }
}

#[test]
fn a_configuration_is_made_once_per_expectation() {
    let ca = TestCa::new();
    let a = tls_identity(&ca, A);
    let first = a.client_config(&ExpectedPeer::exactly(id(B)));
    assert!(Arc::ptr_eq(&first, &a.client_config(&ExpectedPeer::exactly(id(B)))));
    assert!(!Arc::ptr_eq(&first, &a.client_config(&ExpectedPeer::exactly(id(A)))));
    assert!(Arc::ptr_eq(&a.server_config(), &a.server_config()));
}

#[test]
fn a_key_that_is_not_the_leafs_is_refused() {
    let ca = TestCa::new();
    let (one, two) = (ca.issue(&id(A)), ca.issue(&id(A)));
    let mixed = Certificate { key: two.key, ..one };
    assert!(TlsIdentity::new(Arc::new(mixed), &TlsOptions::default()).is_err());
}

#[tokio::test]
async fn revoked_peers_are_refused_by_both_sides_and_others_are_not() {
    let ca = TestCa::new();
    let (revoked, good) = (ca.issue(&id(A)), tls_identity(&ca, A));
    let list = ca.revoke(&revoked.chain[0]);
    let lists = Arc::new(RevocationLists::parse(list.as_bytes()).unwrap());
    let revoked = TlsIdentity::new(Arc::new(revoked), &TlsOptions::default()).unwrap();
    let options = TlsOptions { revoked: lists, ..TlsOptions::default() };
    let checking = TlsIdentity::new(Arc::new(ca.issue(&id(B))), &options).unwrap();
    let (expect_a, expect_b) = (ExpectedPeer::exactly(id(A)), ExpectedPeer::exactly(id(B)));
    for (peer, accepted) in [(&good, true), (&revoked, false)] {
        let (server, _) = handshake(checking.server_config(), peer.client_config(&expect_b)).await;
        assert_eq!(server.is_ok(), accepted, "as a client");
        let (_, client) = handshake(peer.server_config(), checking.client_config(&expect_a)).await;
        assert_eq!(client.is_ok(), accepted, "as a server");
    }
}

#[test]
fn only_revocation_lists_are_taken_for_one() {
    let ca = TestCa::new();
    let one = ca.revoke(&ca.issue(&id(A)).chain[0]);
    for (text, accepted) in [
        (String::new(), true),
        ("\n".into(), true),
        (one.clone(), true),
        (one.repeat(2), true),
        (ca.root_pem().into(), false),
        (one.clone() + ca.root_pem(), false),
        ("text".into(), false),
        ("0text".into(), false),
    ] {
        assert_eq!(RevocationLists::parse(text.as_bytes()).is_ok(), accepted, "{text:?}");
    }
}
