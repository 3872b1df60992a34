//! Transport sockets of a cluster: HBONE or plain by endpoint, or TLS to something outside the mesh.

use super::super::pb::{cluster as pb, core, internal_upstream, matcher as pb_matcher, tls};
use super::super::problem::{At, Problem, Result, Warnings};
use super::super::{values, wire};
use crate::model::cluster::{TlsOrigination, Transport};
use std::sync::Arc;

/// The platform's roots, as istiod names them without `credentialName` or `caCertificates`.
const SYSTEM_ROOTS: &str = "file-root:system";

pub(super) fn transport(proto: &mut pb::Cluster, warnings: &mut Warnings) -> Result<Transport> {
    let socket = proto.transport_socket.take();
    let matches = std::mem::take(&mut proto.transport_socket_matches);
    if matches.is_empty() {
        return self::socket(socket, warnings).at("transport_socket");
    }
    // `outbound` clusters. `{tunnel: http}` is HBONE, which the endpoint's address says already; legacy mTLS endpoints are
    // left out when the cluster is joined with them; what remains is the entry that matches everything.
    let other = |one: &pb::cluster::TransportSocketMatch| {
        one.r#match.as_ref().is_none_or(|wanted| wanted.fields.is_empty())
    };
    match matches.into_iter().find(other) {
        Some(rest) => self::socket(rest.transport_socket, warnings).at("transport_socket_matches"),
        None => self::socket(socket, warnings).at("transport_socket"),
    }
}

/// `{tlsMode: istio}`: sidecars without HBONE.
pub(super) fn is_legacy(one: &pb::cluster::TransportSocketMatch) -> bool {
    let mode = one.r#match.as_ref().and_then(|wanted| wanted.fields.get("tlsMode"));
    mode.and_then(values::text) == Some("istio")
}

fn socket(socket: Option<core::TransportSocket>, warnings: &mut Warnings) -> Result<Transport> {
    let Some(socket) = socket else { return Ok(Transport::ByEndpoint) };
    let Some(core::transport_socket::ConfigType::TypedConfig(any)) = &socket.config_type else {
        return Err(Problem::unsupported("unsupported_transport_socket", socket.name));
    };
    match wire::type_name(any) {
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer" => Ok(Transport::ByEndpoint),
        // For endpoints with a socket address the wrapper does nothing.
        "envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport" => {
            let inner: internal_upstream::InternalUpstreamTransport = wire::unpack(any, warnings)?;
            self::socket(inner.transport_socket, warnings)
        }
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext" => {
            origination(wire::unpack(any, warnings)?).map(|tls| Transport::Tls(Arc::new(tls)))
        }
        _ => Err(Problem::unsupported("unsupported_transport_socket", socket.name)),
    }
}

fn origination(mut context: tls::UpstreamTlsContext) -> Result<TlsOrigination> {
    let mut common = context.common_tls_context.take().unwrap_or_default();
    let (ca, validation) = validation(common.validation_context_type.take())?;
    let certificates = std::mem::take(&mut common.tls_certificate_sds_secret_configs);
    let sni = std::mem::take(&mut context.sni);
    let alpn = std::mem::take(&mut common.alpn_protocols);
    common.tls_params = None; // TLS 1.2 or better with rustls' suites, a subset of what istiod allows
    wire::nothing_left(&common)?;
    wire::nothing_left(&context)?;
    let insecure_skip_verify = ca.is_none();
    Ok(TlsOrigination {
        sni: Some(sni).filter(|sni| !sni.is_empty()).map(Into::into),
        alpn: alpn.into_iter().map(Into::into).collect(),
        subject_alt_names: subject_alt_names(validation)?,
        ca: ca.filter(|ca| ca != SYSTEM_ROOTS).map(Into::into),
        client_certificate: certificates.into_iter().next().map(|secret| secret.name.into()),
        insecure_skip_verify,
    })
}

/// The SDS name of the roots, and what else is checked. Neither means `insecureSkipVerify`.
fn validation(
    kind: Option<tls::common_tls_context::ValidationContextType>,
) -> Result<(Option<String>, tls::CertificateValidationContext)> {
    use tls::common_tls_context::ValidationContextType as Kind;
    match kind {
        None => Ok((None, tls::CertificateValidationContext::default())),
        Some(Kind::CombinedValidationContext(combined)) => {
            let name = combined.validation_context_sds_secret_config.map(|secret| secret.name);
            Ok((name, combined.default_validation_context.unwrap_or_default()))
        }
        Some(Kind::ValidationContextSdsSecretConfig(secret)) => {
            Ok((Some(secret.name), tls::CertificateValidationContext::default()))
        }
        Some(_) => Err(Problem::unsupported("unsupported_transport_socket", "validation context")),
    }
}

fn subject_alt_names(mut validation: tls::CertificateValidationContext) -> Result<Vec<Arc<str>>> {
    use pb_matcher::string_matcher::MatchPattern::Exact;
    let names = std::mem::take(&mut validation.match_subject_alt_names);
    let typed = std::mem::take(&mut validation.match_typed_subject_alt_names);
    wire::nothing_left(&validation)?;
    let all = names.into_iter().map(Some).chain(typed.into_iter().map(|san| san.matcher));
    all.map(|matcher| match matcher.and_then(|matcher| matcher.match_pattern) {
        Some(Exact(name)) => Ok(name.into()),
        _ => Err(Problem::unsupported("unsupported_transport_socket", "subject_alt_names")),
    })
    .collect()
}
