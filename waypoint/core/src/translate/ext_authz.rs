//! External authorization. Envoy: `extensions.filters.{http,network}.ext_authz.v3`; istiod: `builder/extauthz.go`.
//!
//! A field that would change whom the service lets in is honoured or refuses the chain.

use super::pb::{core, ext_authz as pb, matcher as pb_matcher, network_ext_authz};
use super::problem::{At, Problem, Result};
use super::{grpc_service, ignored, matcher, values, wire};
use crate::limits::AUTHZ_BODY_BYTES_MAX;
use crate::model::ext_authz::{
    AuthzPath, AuthzService, BodyOverride, BufferSettings, ExtAuthz, ExtAuthzPerRoute, HttpAuthz, SentHeaders,
};
use crate::model::matcher::{StringMatcher, StringPattern};
use crate::model::route::{Fraction, HeaderText};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// Envoy's default for both kinds of service.
const TIMEOUT: Duration = Duration::from_millis(200);

/// Headers an HTTP service gets whatever the lists say; host, method and path are the request line's.
const ALWAYS_SENT: [&str; 1] = ["authorization"];

pub(super) fn http_filter(mut filter: pb::ExtAuthz) -> Result<ExtAuthz> {
    version(std::mem::take(&mut filter.transport_api_version))?;
    let headers = sent_headers(&mut filter)?;
    let (service, timeout) = match filter.services.take() {
        Some(pb::ext_authz::Services::GrpcService(service)) => grpc(service).at("grpc_service")?,
        Some(pb::ext_authz::Services::HttpService(service)) => http(service).at("http_service")?,
        None => return Err(Problem::unsupported("unsupported_ext_authz", "no service")),
    };
    let status = filter.status_on_error.take().map(|status| values::status(status.code.cast_unsigned()));
    let authz = ExtAuthz {
        service,
        timeout,
        failure_mode_allow: std::mem::take(&mut filter.failure_mode_allow),
        failure_mode_allow_header_add: std::mem::take(&mut filter.failure_mode_allow_header_add),
        status_on_error: status.transpose().at("status_on_error")?.unwrap_or(StatusCode::FORBIDDEN),
        body: filter.with_request_body.take().map(body).transpose().at("with_request_body")?,
        clear_route_cache: std::mem::take(&mut filter.clear_route_cache),
        enabled: values::runtime_fraction(filter.filter_enabled.take().as_ref()).at("filter_enabled")?,
        enabled_metadata: enabled_metadata(&mut filter.filter_enabled_metadata)?,
        // No runtime layers here: the default is the value.
        deny_at_disable: filter
            .deny_at_disable
            .take()
            .is_some_and(|flag| flag.default_value.is_some_and(|deny| deny.value)),
        headers,
        metadata_namespaces: names(&mut filter.metadata_context_namespaces),
        ingest_metadata: filter.enable_dynamic_metadata_ingestion.take().is_none_or(|ingest| ingest.value),
        include_tls_session: std::mem::take(&mut filter.include_tls_session),
        max_denied_body_bytes: std::mem::take(&mut filter.max_denied_response_body_bytes) as usize,
    };
    ignored::ext_authz(&mut filter);
    wire::nothing_left(&filter)?;
    Ok(authz)
}

pub(super) fn network_filter(mut filter: network_ext_authz::ExtAuthz) -> Result<ExtAuthz> {
    version(std::mem::take(&mut filter.transport_api_version))?;
    let service = filter.grpc_service.take();
    let service = service.ok_or_else(|| Problem::unsupported("unsupported_ext_authz", "no service"))?;
    let (service, timeout) = grpc(service).at("grpc_service")?;
    constant(&service)?;
    let authz = ExtAuthz {
        service,
        timeout,
        failure_mode_allow: std::mem::take(&mut filter.failure_mode_allow),
        failure_mode_allow_header_add: false,
        status_on_error: StatusCode::FORBIDDEN,
        body: None,
        clear_route_cache: false,
        enabled: Fraction { numerator: 100, denominator: 100 },
        enabled_metadata: enabled_metadata(&mut filter.filter_enabled_metadata)?,
        deny_at_disable: false,
        headers: SentHeaders::default(),
        metadata_namespaces: names(&mut filter.metadata_context_namespaces),
        ingest_metadata: true,
        include_tls_session: std::mem::take(&mut filter.include_tls_session),
        max_denied_body_bytes: 0,
    };
    ignored::network_ext_authz(&mut filter);
    wire::nothing_left(&filter)?;
    Ok(authz)
}

/// A connection has no request to fill formats from.
fn constant(service: &AuthzService) -> Result<()> {
    let AuthzService::Grpc(target) = service else { return Ok(()) };
    match target.metadata.add.iter().find(|add| matches!(add.value, HeaderText::Format(_))) {
        Some(add) => {
            Err(Problem::unsupported("unsupported_ext_authz", format!("initial_metadata:{}", add.name)))
        }
        None => Ok(()),
    }
}

pub(super) fn per_route(mut config: pb::ExtAuthzPerRoute) -> Result<ExtAuthzPerRoute> {
    use pb::ext_authz_per_route::Override;
    match config.r#override.take() {
        Some(Override::Disabled(true)) => Ok(ExtAuthzPerRoute::Disabled),
        Some(Override::CheckSettings(settings)) => check_settings(settings).at("check_settings"),
        Some(Override::Disabled(false)) | None => Err(Problem::invalid("ext_authz override without content")),
    }
}

fn check_settings(mut settings: pb::CheckSettings) -> Result<ExtAuthzPerRoute> {
    let context = std::mem::take(&mut settings.context_extensions);
    let mut context: Vec<(Box<str>, Box<str>)> =
        context.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    context.sort_unstable();
    let never = std::mem::take(&mut settings.disable_request_body_buffering);
    let body = match settings.with_request_body.take() {
        Some(_) if never => return Err(Problem::invalid("body settings for a body that is not buffered")),
        Some(settings) => BodyOverride::With(body(settings).at("with_request_body")?),
        None if never => BodyOverride::Never,
        None => BodyOverride::AsFilter,
    };
    settings.emit_client_span = None; // tracing
    wire::nothing_left(&settings)?;
    Ok(ExtAuthzPerRoute::Settings { context, body })
}

/// The inner level's settings, with the context of the levels around it. Envoy: `FilterConfigPerRoute::merge`.
pub(super) fn merge(
    inner: Option<Arc<ExtAuthzPerRoute>>,
    outer: Option<&Arc<ExtAuthzPerRoute>>,
) -> Option<Arc<ExtAuthzPerRoute>> {
    use ExtAuthzPerRoute::Settings;
    match (inner.as_deref(), outer.map(|outer| &**outer)) {
        (Some(Settings { context, body }), Some(Settings { context: around, .. })) => {
            let mut joined = context.clone();
            joined
                .extend(around.iter().filter(|(key, _)| context.iter().all(|(own, _)| own != key)).cloned());
            Some(Arc::new(Settings { context: joined, body: *body }))
        }
        (Some(_), _) => inner,
        (None, _) => outer.cloned(),
    }
}

/// V2 messages are history; an unset version means them.
fn version(version: i32) -> Result<()> {
    if version == core::ApiVersion::V3 as i32 {
        return Ok(());
    }
    Err(Problem::unsupported("unsupported_ext_authz", "transport_api_version"))
}

fn enabled_metadata(
    matcher: &mut Option<pb_matcher::MetadataMatcher>,
) -> Result<Option<crate::model::matcher::MetadataMatcher>> {
    matcher.take().map(|matcher| matcher::metadata(&matcher)).transpose().at("filter_enabled_metadata")
}

fn names(list: &mut Vec<String>) -> Vec<Arc<str>> {
    std::mem::take(list).into_iter().map(Into::into).collect()
}

fn body(settings: pb::BufferSettings) -> Result<BufferSettings> {
    let max_bytes = settings.max_request_bytes as usize;
    match max_bytes {
        0 => Err(Problem::invalid("max_request_bytes is 0")),
        1..=AUTHZ_BODY_BYTES_MAX => Ok(BufferSettings {
            max_bytes,
            allow_partial: settings.allow_partial_message,
            pack_as_bytes: settings.pack_as_bytes,
        }),
        _ => Err(Problem::unsupported("unsupported_ext_authz", format!("max_request_bytes={max_bytes}"))),
    }
}

fn sent_headers(filter: &mut pb::ExtAuthz) -> Result<SentHeaders> {
    let mut allowed = filter.allowed_headers.take().map(list).transpose().at("allowed_headers")?;
    if let Some(pb::ext_authz::Services::HttpService(service)) = &mut filter.services {
        // The older place of the same list; Envoy takes it when the newer one is not there.
        let older = service.authorization_request.as_mut().and_then(|request| request.allowed_headers.take());
        let older = older.map(list).transpose().at("http_service.authorization_request.allowed_headers")?;
        let mut headers = allowed.or(older).unwrap_or_default();
        headers.extend(ALWAYS_SENT.map(exactly));
        allowed = Some(headers);
    }
    let disallowed = filter.disallowed_headers.take().map(list).transpose().at("disallowed_headers")?;
    let raw = std::mem::take(&mut filter.encode_raw_headers);
    Ok(SentHeaders { allowed, disallowed: disallowed.unwrap_or_default(), raw })
}

fn exactly(name: &str) -> StringMatcher {
    StringMatcher { pattern: StringPattern::Exact(name.into()), ignore_case: true }
}

fn list(list: pb_matcher::ListStringMatcher) -> Result<Vec<StringMatcher>> {
    let patterns = list.patterns.iter().enumerate();
    patterns.map(|(index, pattern)| matcher::string(pattern).at_index("patterns", index)).collect()
}

fn optional_list(field: &mut Option<pb_matcher::ListStringMatcher>) -> Result<Vec<StringMatcher>> {
    field.take().map(list).transpose().map(Option::unwrap_or_default)
}

fn timeout(value: Option<super::pb::protobuf::Duration>) -> Result<Option<Duration>> {
    let timeout = values::optional_duration(value.as_ref()).at("timeout")?.unwrap_or(TIMEOUT);
    Ok(Some(timeout).filter(|timeout| !timeout.is_zero()))
}

fn grpc(service: core::GrpcService) -> Result<(AuthzService, Option<Duration>)> {
    let (target, timeout) = grpc_service::target(service, "unsupported_ext_authz")?;
    Ok((AuthzService::Grpc(target), self::timeout(timeout)?))
}

fn http(mut service: pb::HttpService) -> Result<(AuthzService, Option<Duration>)> {
    use core::http_uri::HttpUpstreamType;
    let mut server = service.server_uri.take().ok_or_else(|| Problem::invalid("no server_uri"))?;
    let timeout = timeout(server.timeout.take()).at("server_uri")?;
    let Some(HttpUpstreamType::Cluster(cluster)) = server.http_upstream_type.take() else {
        return Err(Problem::unsupported("unsupported_ext_authz", "server_uri without cluster"));
    };
    let prefix = std::mem::take(&mut service.path_prefix);
    let path = match std::mem::take(&mut service.path_override) {
        path if path.is_empty() => AuthzPath::Prefix(path_text(prefix).at("path_prefix")?),
        _ if !prefix.is_empty() => return Err(Problem::invalid("path_prefix and path_override")),
        path => AuthzPath::Override(path_text(path).at("path_override")?),
    };
    let mut request = service.authorization_request.take().unwrap_or_default();
    let headers_to_add =
        grpc_service::headers(&mut request.headers_to_add).at("authorization_request.headers_to_add")?;
    wire::nothing_left(&request)?;
    let mut response = service.authorization_response.take().unwrap_or_default();
    let client = response.allowed_client_headers.take().filter(|list| !list.patterns.is_empty());
    let http = HttpAuthz {
        cluster: cluster.into(),
        path,
        headers_to_add,
        upstream: optional_list(&mut response.allowed_upstream_headers)?,
        upstream_append: optional_list(&mut response.allowed_upstream_headers_to_append)?,
        client: client.map(list).transpose()?,
        client_on_success: optional_list(&mut response.allowed_client_headers_on_success)?,
        metadata: optional_list(&mut response.dynamic_metadata_from_headers)?,
    };
    wire::nothing_left(&response)?;
    wire::nothing_left(&service)?;
    Ok((AuthzService::Http(Box::new(http)), timeout))
}

fn path_text(path: String) -> Result<Box<str>> {
    let valid = path.is_empty() || path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if valid { Ok(path.into()) } else { Err(Problem::invalid(format_args!("bad path {path:?}"))) }
}

#[cfg(test)]
mod tests;
