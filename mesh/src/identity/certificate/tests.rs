use super::{Certificate, CertificateError};
use crate::identity::{SigningRequest, SpiffeId};
use crate::limits;
use crate::testing::{Issue, TestCa};
use std::time::{Duration, SystemTime};

fn id() -> SpiffeId {
    SpiffeId::new("cluster.local", "default", "sleep")
}

/// A CA's answer for `uris`, and the key.
fn answer(ca: &TestCa, uris: &[&str]) -> (Vec<String>, String) {
    let request = SigningRequest::generate(&id()).unwrap();
    let issue = Issue { uris: uris.iter().map(|&uri| uri.to_owned()).collect(), ..Issue::of(&id()) };
    (vec![ca.sign(&request.csr_pem, &issue), ca.root_pem().to_owned()], request.key_pem)
}

#[test]
fn leaf_first_roots_last() {
    let (ca, other) = (TestCa::new(), TestCa::new());
    let (mut chain, key) = answer(&ca, &[id().as_str()]);
    chain[1].push_str(other.root_pem());
    let certificate = Certificate::from_pem_chain(&chain, &key).unwrap();
    assert_eq!(certificate.identity, id());
    assert_eq!(
        (certificate.chain.len(), certificate.roots.len()),
        (1, 2),
        "several roots in the last element"
    );
    assert_eq!(certificate.chain_info[0].pem, chain[0].replace("\r\n", "\n"));
    assert!(certificate.serial.bytes().all(|byte| byte.is_ascii_digit()), "{}", certificate.serial);
    let now = SystemTime::now();
    assert!(certificate.is_valid_at(now));
    assert!(!certificate.is_valid_at(now + Duration::from_secs(2 * 86_400)));
    assert!(!certificate.is_valid_at(now - Duration::from_secs(3600)));
    assert_eq!(certificate.chain_info[0].not_after, certificate.not_after);

    chain.insert(1, other.root_pem().to_owned());
    let with_intermediate = Certificate::from_pem_chain(&chain, &key).unwrap();
    assert_eq!((with_intermediate.chain.len(), with_intermediate.roots.len()), (2, 2));
}

#[track_caller]
fn refused(chain: &[String], key: &str, is: fn(&CertificateError) -> bool) {
    let error = Certificate::from_pem_chain(chain, key).unwrap_err();
    assert!(is(&error), "{error:?}");
}

#[test]
fn what_is_no_identity_is_refused() {
    let ca = TestCa::new();
    let root = || ca.root_pem().to_owned();
    let (good, key) = answer(&ca, &[id().as_str()]);
    refused(&[], &key, |e| matches!(e, CertificateError::Incomplete(0)));
    refused(&good[..1], &key, |e| matches!(e, CertificateError::Incomplete(1)));
    refused(&["".into(), root()], &key, |e| matches!(e, CertificateError::Malformed(_)));
    refused(&["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(), root()], &key, |e| {
        matches!(e, CertificateError::Malformed(_))
    });
    refused(&good, "no key", |e| matches!(e, CertificateError::Key(_)));
    let (none, key) = answer(&ca, &[]);
    refused(&none, &key, |e| matches!(e, CertificateError::UriSans(0)));
    let (two, key) = answer(&ca, &[id().as_str(), "spiffe://cluster.local/ns/default/sa/other"]);
    refused(&two, &key, |e| matches!(e, CertificateError::UriSans(2)));
    let (foreign, key) = answer(&ca, &["https://example.com/"]);
    refused(&foreign, &key, |e| matches!(e, CertificateError::Identity(_)));
    let many = vec![good[0].clone(), root().repeat(limits::CA_CHAIN_CERTIFICATES)];
    refused(&many, &key, |e| matches!(e, CertificateError::TooMany));
}

#[test]
fn damaged_certificates_are_refused_without_a_panic() {
    let good = TestCa::new().issue(&id());
    let leaf = good.chain[0].to_vec();
    for cut in 0..leaf.len() {
        let mut flipped = leaf.clone();
        flipped[cut] ^= 0x55;
        for damaged in [leaf[..cut].to_vec(), flipped] {
            // Flipping a bit of the key or signature leaves a readable certificate; what is read must still be whole.
            if let Ok(uris) = super::uri_sans(&damaged.clone().into()) {
                assert_eq!(damaged.len(), leaf.len());
                assert!(uris.len() <= 1);
            }
        }
    }
    let mut trailing = leaf;
    trailing.push(0);
    assert!(super::uri_sans(&trailing.into()).is_err());
}
