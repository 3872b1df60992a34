use super::*;
use crate::translate::pb::core;
use prost::Message as _;

fn inline(text: &str) -> Option<core::DataSource> {
    let specifier = Some(core::data_source::Specifier::InlineBytes(text.as_bytes().to_vec()));
    Some(core::DataSource { specifier, ..Default::default() })
}

fn of(kind: tls::secret::Type) -> std::result::Result<Secret, String> {
    let secret = tls::Secret { name: "n".into(), r#type: Some(kind) };
    let translated = translate("n", &secret.encode_to_vec());
    translated.map(|translated| translated.value).map_err(|rejection| rejection.reason)
}

#[test]
fn roots_and_certificates() {
    let context = tls::CertificateValidationContext { trusted_ca: inline("roots"), ..Default::default() };
    assert_eq!(of(tls::secret::Type::ValidationContext(context)), Ok(Secret::Roots(b"roots"[..].into())));
    let certificate = tls::TlsCertificate {
        certificate_chain: inline("chain"),
        private_key: inline("key"),
        ..Default::default()
    };
    let expect = Secret::Certificate { chain: b"chain"[..].into(), key: b"key"[..].into() };
    assert_eq!(format!("{expect:?}"), "Certificate", "never printed");
    assert_eq!(of(tls::secret::Type::TlsCertificate(certificate)), Ok(expect));
}

#[test]
fn what_would_not_be_checked_is_refused() {
    let context = tls::CertificateValidationContext {
        trusted_ca: inline("roots"),
        crl: inline("crl"),
        ..Default::default()
    };
    let refused = of(tls::secret::Type::ValidationContext(context)).unwrap_err();
    assert_eq!(refused, "unsupported_field: CertificateValidationContext#7");
    let generic = tls::GenericSecret::default();
    assert!(of(tls::secret::Type::GenericSecret(generic)).is_err());
}
