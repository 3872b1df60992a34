//! Secrets by SDS. Envoy: `extensions.transport_sockets.tls.v3.Secret`; istiod: `pilot/pkg/xds/sds.go`.

use super::pb::tls;
use super::problem::{At, Problem, Rejection, Result, Translated, Warnings};
use super::{values, wire};
use crate::model::secret::Secret;
use xds_client::type_url::SECRET;

pub fn translate(name: &str, bytes: &[u8]) -> std::result::Result<Translated<Secret>, Rejection> {
    let mut warnings = Warnings::default();
    let secret = wire::decode(bytes, &mut warnings).and_then(secret);
    let value = secret.map_err(|problem| problem.reject(SECRET, name))?;
    Ok(Translated { value, warnings: warnings.into_list() })
}

fn secret(secret: tls::Secret) -> Result<Secret> {
    use tls::secret::Type;
    match secret.r#type {
        Some(Type::ValidationContext(mut context)) => {
            let roots = context.trusted_ca.take().unwrap_or_default();
            // A revocation list that is not looked at would let revoked peers in.
            wire::nothing_left(&context)?;
            Ok(Secret::Roots(values::inline(&roots).at("trusted_ca")?.into()))
        }
        Some(Type::TlsCertificate(mut certificate)) => {
            let chain = certificate.certificate_chain.take().unwrap_or_default();
            let key = certificate.private_key.take().unwrap_or_default();
            certificate.ocsp_staple = None; // a server's
            wire::nothing_left(&certificate)?;
            Ok(Secret::Certificate {
                chain: values::inline(&chain).at("certificate_chain")?.into(),
                key: values::inline(&key).at("private_key")?.into(),
            })
        }
        _ => Err(Problem::unsupported("unsupported_secret", "type")),
    }
}

#[cfg(test)]
mod tests;
