use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use waypoint_core::model::matcher::{StringMatcher, StringPattern};
use waypoint_core::model::secret::Secret;
use waypoint_core::model::tls::{Credential, Roots, SanKind, SanMatcher, TlsParameters};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

impl Authority {
    /// Chain and key.
    fn issue(&self, names: &[SanType]) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn settings(names: PeerNames) -> TlsOrigination {
    TlsOrigination {
        content_hash: 1,
        sni: Sni::Fixed("api.example.com".into()),
        alpn: vec!["h2".into()],
        roots: Roots::Named(Credential::Sds("kubernetes://ca".into())),
        names,
        client_certificate: None,
        parameters: TlsParameters::default(),
    }
}

fn matching(kind: SanKind, pattern: StringPattern) -> PeerNames {
    PeerNames::Matching(vec![SanMatcher { kind, matcher: StringMatcher { pattern, ignore_case: false } }])
}

fn exact(kind: SanKind, name: &str) -> PeerNames {
    matching(kind, StringPattern::Exact(name.into()))
}

fn server(authority: &Authority, names: &[SanType], clients: bool) -> Arc<ServerConfig> {
    let (chain, key) = authority.issue(names);
    let material = Secret::Certificate { chain: chain.into_bytes().into(), key: key.into_bytes().into() };
    let (chain, key) = material::tests_certificate(&material);
    let builder =
        ServerConfig::builder_with_provider(Arc::new(material::provider(&TlsParameters::default())))
            .with_safe_default_protocol_versions()
            .unwrap();
    let builder = if clients {
        let mut roots = RootCertStore::empty();
        let pem = rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem.as_bytes()).unwrap();
        roots.add(pem).unwrap();
        let provider = Arc::new(material::provider(&TlsParameters::default()));
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// What the client says of its handshake: the protocol agreed on, or why there is none.
async fn handshake(
    settings: TlsOrigination,
    secrets: &[(&str, Secret)],
    host: Option<&str>,
    server: Arc<ServerConfig>,
) -> Result<(String, Option<String>), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let accepted = TlsAcceptor::from(server).accept(stream).await.ok()?;
        Some(accepted.get_ref().1.server_name().map(str::to_owned))
    });
    let settings = Arc::new(settings);
    let contexts = TlsContexts::default();
    let secrets = secrets.iter().map(|(name, secret)| (Arc::from(*name), Arc::new(secret.clone()))).collect();
    let material = Material::load(&settings, &secrets, &mut Files::default());
    let context = TlsContext::new(settings.clone(), material);
    contexts.by_hash.store(Arc::new([(1, Arc::new(context))].into()));
    let stream = RawStream::Tcp(TcpStream::connect(address).await.unwrap());
    let host = host.map(Arc::from);
    let connected = contexts.connect(&settings, (host.as_ref(), address.ip()), stream).await;
    let stream = connected.map_err(|error| error.transport.unwrap())?;
    let protocol = stream.get_ref().1.alpn_protocol().map(String::from_utf8_lossy).unwrap_or_default();
    let asked = accepting.await.unwrap().ok_or("the server refused")?;
    Ok((protocol.into_owned(), asked))
}

fn roots(authority: &Authority) -> (&'static str, Secret) {
    ("kubernetes://ca", Secret::Roots(authority.pem.clone().into_bytes().into()))
}

#[tokio::test]
async fn names_decide_who_is_accepted() {
    let ours = authority();
    let regex = |text| StringPattern::Regex(waypoint_core::matching::regex::compile(text).unwrap());
    let cases = [
        (PeerNames::Any, dns("else.example"), true),
        (exact(SanKind::Any, "api.example.com"), dns("api.example.com"), true),
        (exact(SanKind::Dns, "api.example.com"), dns("*.example.com"), true),
        (exact(SanKind::Uri, "api.example.com"), dns("api.example.com"), false),
        (exact(SanKind::Any, "api.example.com"), dns("evil.example.net"), false),
        (exact(SanKind::Uri, "spiffe://td/ns/a/sa/b"), uri("spiffe://td/ns/a/sa/b"), true),
        (matching(SanKind::Uri, StringPattern::Prefix("spiffe://td/".into())), uri("spiffe://td/x"), true),
        (
            matching(SanKind::Uri, StringPattern::Prefix("spiffe://td/".into())),
            uri("spiffe://other/x"),
            false,
        ),
        (matching(SanKind::Dns, StringPattern::Suffix(".example.com".into())), dns("x.example.com"), true),
        (matching(SanKind::Any, regex("api-[0-9]+\\.example\\.com")), dns("api-7.example.com"), true),
        (matching(SanKind::Any, regex("api-[0-9]+\\.example\\.com")), dns("api-x.example.com"), false),
        (exact(SanKind::Ip, "192.0.2.1"), SanType::IpAddress("192.0.2.1".parse().unwrap()), true),
        (PeerNames::Sni, dns("api.example.com"), true),
        (PeerNames::Sni, dns("host.example.com"), false),
        (PeerNames::Host, dns("host.example.com"), true),
        (PeerNames::Host, dns("api.example.com"), false),
    ];
    for (names, san, expect) in cases {
        let label = format!("{names:?} of {san:?}");
        let config = server(&ours, &[san], false);
        let got = handshake(settings(names), &[roots(&ours)], Some("host.example.com"), config).await;
        assert_eq!(got.is_ok(), expect, "{label}: {got:?}");
        if let Ok(got) = got {
            assert_eq!(got, ("h2".to_owned(), Some("api.example.com".to_owned())));
        }
    }
}

#[tokio::test]
async fn the_server_name_is_what_was_configured() {
    let ours = authority();
    for (sni, host, expect) in [
        (Sni::Host, Some("host.example.com"), Some("host.example.com")),
        (Sni::Host, None, None),
        (Sni::None, Some("host.example.com"), None),
    ] {
        let config = server(&ours, &[dns("any.example")], false);
        let settings = TlsOrigination { sni, ..settings(PeerNames::Any) };
        let (_, asked) = handshake(settings, &[roots(&ours)], host, config).await.unwrap();
        assert_eq!(asked.as_deref(), expect);
    }
}

#[tokio::test]
async fn strangers_are_refused_unless_told_otherwise() {
    let (ours, theirs) = (authority(), authority());
    let config = || server(&theirs, &[dns("api.example.com")], false);
    let refused = handshake(settings(PeerNames::Any), &[roots(&ours)], None, config()).await.unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    let unchecked = TlsOrigination { roots: Roots::Unchecked, ..settings(PeerNames::Any) };
    handshake(unchecked, &[], None, config()).await.unwrap();
}

#[tokio::test]
async fn missing_or_bad_secrets_refuse() {
    let ours = authority();
    let config = || server(&ours, &[dns("api.example.com")], false);
    let file = TlsOrigination {
        roots: Roots::Named(Credential::RootFile("/nonexistent/ca.pem".into())),
        ..settings(PeerNames::Any)
    };
    let bad = ("kubernetes://ca", Secret::Roots(b"no pem".as_slice().into()));
    for (settings, secrets, expect) in [
        (settings(PeerNames::Any), vec![], "Secret is not supplied by SDS: kubernetes://ca"),
        (settings(PeerNames::Any), vec![bad], "no certificate in the roots"),
        (file, vec![], "/nonexistent/ca.pem"),
    ] {
        let refused = handshake(settings, &secrets, None, config()).await.unwrap_err();
        assert!(refused.contains(expect), "{refused}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let ours = authority();
    let (chain, key) = ours.issue(&[uri("spiffe://cluster.local/ns/a/sa/b")]);
    let client = Secret::Certificate { chain: chain.into_bytes().into(), key: key.into_bytes().into() };
    let config = || server(&ours, &[dns("api.example.com")], true);
    let mutual = TlsOrigination {
        client_certificate: Some(Credential::Sds("kubernetes://client".into())),
        ..settings(PeerNames::Any)
    };
    let secrets = [roots(&ours), ("kubernetes://client", client)];
    handshake(mutual, &secrets, None, config()).await.unwrap();
    let without = handshake(settings(PeerNames::Any), &secrets, None, config()).await;
    assert!(without.is_err(), "{without:?}");
}
