//! TLS origination: one `UpstreamTlsContext`. istiod: `pilot/pkg/networking/core/cluster_tls.go`, `security.ToEnvoySdsSecretConfig`.

use super::super::pb::{core, matcher as pb_matcher, tls};
use super::super::problem::{At, Problem, Result};
use super::super::{matcher, wire};
use super::transport::unsupported;
use crate::model::tls::{
    Credential, PeerNames, Roots, SanKind, SanMatcher, Sni, TlsOrigination, TlsParameters, TlsVersions,
};
use prost::Message as _;
use std::sync::Arc;

/// The platform's roots, as istiod names them without `credentialName` or `caCertificates`.
const SYSTEM_ROOTS: &str = "file-root:system";

/// TLS 1.2 suites there are; the others of a list are passed over, as BoringSSL passes over what it was not built with.
const CIPHER_SUITES: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
];
const CURVES: &[&str] = &["X25519MLKEM768", "X25519", "P-256", "P-384"];

/// `auto_sni` and `auto_san_validation` of the cluster's HTTP options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByHost {
    pub(super) sni: bool,
    pub(super) names: bool,
}

pub(super) fn origination(mut context: tls::UpstreamTlsContext, by_host: ByHost) -> Result<TlsOrigination> {
    let mut bytes = context.encode_to_vec();
    bytes.extend([u8::from(by_host.sni), u8::from(by_host.names)]);
    let mut common = context.common_tls_context.take().unwrap_or_default();
    let (roots, validation) = validation(common.validation_context_type.take())?;
    let certificates = std::mem::take(&mut common.tls_certificate_sds_secret_configs);
    let fixed = std::mem::take(&mut context.sni);
    let alpn = std::mem::take(&mut common.alpn_protocols);
    let parameters = common.tls_params.take().map(parameters).transpose().at("tls_params")?;
    let by_sni = std::mem::take(&mut context.auto_sni_san_validation);
    context.max_session_keys = None; // sessions kept for resumption: bounded here as well
    context.enforce_rsa_key_usage = None; // webpki decides
    wire::nothing_left(&common)?;
    wire::nothing_left(&context)?;
    let sni = match fixed {
        _ if by_host.sni => Sni::Host,
        fixed if fixed.is_empty() => Sni::None,
        fixed => Sni::Fixed(fixed.into()),
    };
    let names = match names(validation)? {
        _ if by_host.names => PeerNames::Host,
        _ if by_sni && sni == Sni::None => {
            return Err(Problem::invalid("auto_sni_san_validation without a server name"));
        }
        _ if by_sni => PeerNames::Sni,
        names => names,
    };
    if matches!(roots, Roots::Unchecked) && !matches!(names, PeerNames::Any) {
        // Without roots anybody can show any name; Envoy rejects this too.
        return Err(unsupported("subject_alt_names_without_roots"));
    }
    let client_certificate =
        certificates.into_iter().next().map(|secret| credential(&secret.name)).transpose()?;
    if client_certificate.as_ref().is_some_and(|one| matches!(one, Credential::RootFile(_))) {
        return Err(unsupported("roots_as_certificate"));
    }
    Ok(TlsOrigination {
        content_hash: wire::hash(&bytes),
        sni,
        alpn: alpn.into_iter().map(Into::into).collect(),
        roots,
        names,
        client_certificate,
        parameters: parameters.unwrap_or_default(),
    })
}

/// The roots, and what else is checked. No context at all means `insecureSkipVerify`.
fn validation(
    kind: Option<tls::common_tls_context::ValidationContextType>,
) -> Result<(Roots, tls::CertificateValidationContext)> {
    use tls::common_tls_context::ValidationContextType as Kind;
    let (name, context) = match kind {
        None => (None, tls::CertificateValidationContext::default()),
        Some(Kind::CombinedValidationContext(combined)) => (
            combined.validation_context_sds_secret_config.map(|secret| secret.name),
            combined.default_validation_context.unwrap_or_default(),
        ),
        Some(Kind::ValidationContextSdsSecretConfig(secret)) => {
            (Some(secret.name), tls::CertificateValidationContext::default())
        }
        Some(_) => return Err(unsupported("validation_context")),
    };
    let roots = match name.as_deref() {
        None => Roots::Unchecked,
        Some(SYSTEM_ROOTS) => Roots::System,
        Some(name) => Roots::Named(credential(name)?),
    };
    Ok((roots, context))
}

/// Secrets by the name istiod gives them: the agent's files, or what ADS delivers.
fn credential(name: &str) -> Result<Credential> {
    if let Some(path) = name.strip_prefix("file-root:") {
        return Ok(Credential::RootFile(path.into()));
    }
    if let Some((chain, key)) = name.strip_prefix("file-cert:").and_then(|paths| paths.split_once('~')) {
        return Ok(Credential::CertificateFiles { chain: chain.into(), key: key.into() });
    }
    if ["kubernetes://", "kubernetes-gateway://", "configmap://"]
        .iter()
        .any(|scheme| name.starts_with(scheme))
    {
        return Ok(Credential::Sds(name.into()));
    }
    Err(Problem::unsupported("unsupported_secret", name))
}

fn names(mut validation: tls::CertificateValidationContext) -> Result<PeerNames> {
    let names = std::mem::take(&mut validation.match_subject_alt_names);
    let typed = std::mem::take(&mut validation.match_typed_subject_alt_names);
    wire::nothing_left(&validation)?;
    let any = names.iter().map(|name| san(SanKind::Any, Some(name)));
    let typed = typed.iter().map(|name| san(kind(name)?, name.matcher.as_ref()));
    let all = any.chain(typed).collect::<Result<Vec<_>>>().at("match_typed_subject_alt_names")?;
    Ok(if all.is_empty() { PeerNames::Any } else { PeerNames::Matching(all) })
}

fn san(kind: SanKind, matcher: Option<&pb_matcher::StringMatcher>) -> Result<SanMatcher> {
    let matcher = matcher.ok_or_else(|| Problem::invalid("no matcher"))?;
    Ok(SanMatcher { kind, matcher: matcher::string(matcher)? })
}

fn kind(name: &tls::SubjectAltNameMatcher) -> Result<SanKind> {
    use tls::subject_alt_name_matcher::SanType;
    match wire::enum_value(name.san_type, "san_type")? {
        SanType::Dns => Ok(SanKind::Dns),
        SanType::Uri => Ok(SanKind::Uri),
        SanType::Email => Ok(SanKind::Email),
        SanType::IpAddress => Ok(SanKind::Ip),
        other => Err(unsupported(other.as_str_name())),
    }
}

fn parameters(mut parameters: tls::TlsParameters) -> Result<TlsParameters> {
    use tls::tls_parameters::TlsProtocol as Version;
    let version = |value: i32| wire::enum_value::<Version>(value, "tls_protocol_version");
    let minimum = version(std::mem::take(&mut parameters.tls_minimum_protocol_version))?;
    let maximum = version(std::mem::take(&mut parameters.tls_maximum_protocol_version))?;
    let versions = match (minimum, maximum) {
        (_, Version::TlSv10 | Version::TlSv11) => return Err(unsupported(maximum.as_str_name())),
        (Version::TlSv13, Version::TlSv12) => return Err(Problem::invalid("no version is allowed")),
        (Version::TlSv13, _) => TlsVersions::Tls13,
        (_, Version::TlSv12) => TlsVersions::Tls12,
        // Differs from Envoy, which would go below 1.2 when told to: nothing older is built in.
        _ => TlsVersions::Tls12AndTls13,
    };
    let cipher_suites = known(std::mem::take(&mut parameters.cipher_suites), CIPHER_SUITES, "cipher_suites")?;
    let curves = known(std::mem::take(&mut parameters.ecdh_curves), CURVES, "ecdh_curves")?;
    wire::nothing_left(&parameters)?;
    Ok(TlsParameters { versions, cipher_suites, curves })
}

/// The known ones of a list, in its order; a list without any would mean a handshake that cannot succeed.
fn known(list: Vec<String>, known: &[&str], what: &str) -> Result<Vec<Arc<str>>> {
    let given = !list.is_empty();
    // `[A|B]` are equal alternatives.
    let names = list.iter().flat_map(|name| name.trim_matches(['[', ']']).split('|'));
    let kept: Vec<Arc<str>> = names.filter(|name| known.contains(name)).map(Arc::from).collect();
    if given && kept.is_empty() { Err(unsupported(what)) } else { Ok(kept) }
}

/// The PROXY protocol's version; what is added to it is refused.
pub(super) fn proxy_protocol(
    config: Option<core::ProxyProtocolConfig>,
) -> Result<crate::model::cluster::ProxyProtocol> {
    use crate::model::cluster::ProxyProtocol;
    use core::proxy_protocol_config::Version;
    let mut config = config.unwrap_or_default();
    let version = wire::enum_value(std::mem::take(&mut config.version), "proxy_protocol.version")?;
    wire::nothing_left(&config)?;
    Ok(match version {
        Version::V1 => ProxyProtocol::V1,
        Version::V2 => ProxyProtocol::V2,
    })
}
