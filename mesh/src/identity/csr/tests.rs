use super::SigningRequest;
use crate::identity::SpiffeId;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

#[test]
fn the_request_has_an_empty_subject_and_one_uri_san_and_verifies() {
    let id = SpiffeId::new("cluster.local", "default", "sleep");
    let request = SigningRequest::generate(&id).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(request.csr_pem.as_bytes()).unwrap();
    assert_eq!(pem.label, "CERTIFICATE REQUEST");
    let (_, csr) = X509CertificationRequest::from_der(&pem.contents).unwrap();
    assert_eq!(csr.certification_request_info.subject.iter_rdn().count(), 0);
    let sans: Vec<_> = csr
        .requested_extensions()
        .unwrap()
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(san) => Some(san.general_names.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(sans, [GeneralName::URI(id.as_str())]);
    let algorithm = &csr.certification_request_info.subject_pki.algorithm;
    assert_eq!(algorithm.algorithm.to_id_string(), "1.2.840.10045.2.1", "id-ecPublicKey");
    assert_eq!(csr.signature_algorithm.algorithm.to_id_string(), "1.2.840.10045.4.3.2", "ecdsa-with-SHA256");
}

#[test]
fn every_request_has_its_own_key() {
    let id = SpiffeId::new("td", "n", "s");
    let (one, two) = (SigningRequest::generate(&id).unwrap(), SigningRequest::generate(&id).unwrap());
    assert_ne!(one.key_pem, two.key_pem);
}

#[test]
fn a_key_is_not_shown() {
    let id = SpiffeId::new("td", "n", "s");
    let request = SigningRequest::generate(&id).unwrap();
    let secret = request.key_pem.lines().nth(1).unwrap();
    assert!(!format!("{request:?}").contains(secret));
    let ca = crate::testing::TestCa::new();
    let issue = crate::testing::Issue::of(&id);
    let chain = [ca.sign(&request.csr_pem, &issue), ca.root_pem().to_owned()];
    let certificate = crate::identity::Certificate::from_pem_chain(&chain, &request.key_pem).unwrap();
    let shown = format!("{certificate:?}");
    assert!(shown.contains("elided") && !shown.contains(secret));
}
