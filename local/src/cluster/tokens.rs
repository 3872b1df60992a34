//! Service account tokens: JWTs as the TokenRequest API issues them, signed with a key made for this run.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://kubernetes.default.svc";

/// Whose token it is.
#[derive(Clone, Debug)]
pub struct Bearer {
    pub namespace: String,
    pub account: String,
    pub account_uid: String,
    pub pod: String,
    pub pod_uid: String,
    pub node: String,
    pub node_uid: String,
}

pub struct Signer(EcdsaKeyPair);

impl Signer {
    pub fn generate() -> Result<Self, Unspecified> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self)
    }

    /// What istiod verifies tokens with.
    pub fn public_pem(&self) -> Result<String, Unspecified> {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der()?;
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<String> =
            text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
    }

    /// The token of `claims`.
    pub fn sign(&self, claims: &Value) -> Result<String, Unspecified> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "JWT"})), part(claims));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }
}

/// The claims of a token that begins at `now` (Unix seconds) and lives for `seconds`.
#[must_use]
pub fn claims(bearer: &Bearer, audience: &str, now: i64, seconds: u64) -> Value {
    let expiry = now.saturating_add_unsigned(seconds);
    json!({
        "iss": ISSUER, "aud": [audience], "iat": now, "nbf": now, "exp": expiry,
        "sub": format!("system:serviceaccount:{}:{}", bearer.namespace, bearer.account),
        "kubernetes.io": {
            "namespace": bearer.namespace,
            "serviceaccount": {"name": bearer.account, "uid": bearer.account_uid},
            "pod": {"name": bearer.pod, "uid": bearer.pod_uid},
            "node": {"name": bearer.node, "uid": bearer.node_uid},
        },
    })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn bearer() -> Bearer {
        let text = str::to_owned;
        Bearer {
            namespace: text("n"),
            account: text("a"),
            account_uid: text("au"),
            pod: text("p"),
            pod_uid: text("pu"),
            node: text("fairway-node"),
            node_uid: text("nu"),
        }
    }

    #[test]
    fn claims_are_those_of_kubernetes() {
        assert_eq!(
            claims(&bearer(), "istio-ca", 1000, 600),
            json!({"iss": "https://kubernetes.default.svc", "aud": ["istio-ca"], "iat": 1000, "nbf": 1000, "exp": 1600,
                "sub": "system:serviceaccount:n:a",
                "kubernetes.io": {"namespace": "n", "serviceaccount": {"name": "a", "uid": "au"},
                    "pod": {"name": "p", "uid": "pu"}, "node": {"name": "fairway-node", "uid": "nu"}}})
        );
    }

    #[test]
    fn the_signature_is_verified_by_the_published_key() {
        let signer = Signer::generate().unwrap();
        let token = signer.sign(&claims(&bearer(), "istio-ca", 0, 1)).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let pem = signer.public_pem().unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, STANDARD.decode(der).unwrap());
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        key.verify(signed.as_bytes(), &signature).unwrap();
        assert!(key.verify(b"something else", &signature).is_err());
        let header = URL_SAFE_NO_PAD.decode(signed.split('.').next().unwrap()).unwrap();
        assert_eq!(header, br#"{"alg":"ES256","typ":"JWT"}"#);
    }
}
