//! One HTTP filter chain. Envoy: `HttpConnectionManager`; istiod: `buildWaypointInboundHTTPFilters`.

use super::ecds::Asked;
use super::pb::{core, hcm as pb};
use super::problem::{At, Problem, Result, Warnings};
use super::{access_log, http_filters, ignored, route, values, wire};
use crate::model::http_chain::{EscapedSlashes, ForwardClientCert, HttpChain, PathNormalization};
use http::HeaderValue;
use std::sync::Arc;
use std::time::Duration;

/// Envoy's defaults for what a connection manager leaves unset.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
const REQUEST_HEADERS_KIB: u32 = 60;
const REQUEST_HEADERS_COUNT: u32 = 100;

pub(super) fn chain(
    mut hcm: pb::HttpConnectionManager,
    extensions: &mut Asked<'_>,
    warnings: &mut Warnings,
) -> Result<HttpChain> {
    let routes = routes(hcm.route_specifier.take(), warnings)?;
    let filters = http_filters::filters(std::mem::take(&mut hcm.http_filters), extensions, warnings);
    let (filters, refusal) = match filters.or_refusal()? {
        Ok(filters) => (filters, None),
        Err(refusal) => (Vec::new(), Some(refusal)),
    };
    let access_logs = access_log::loggers(std::mem::take(&mut hcm.access_log), warnings)?;
    let names_operation = hcm.tracing.is_some();
    let tracing = match hcm.tracing.take() {
        Some(tracing) => super::tracing::tracing(tracing, warnings).at("tracing")?,
        None => None,
    };
    let (idle_timeout, max_request_headers_count) = common(hcm.common_http_protocol_options.take())?;
    let (accept_http_10, preserve_header_case) = http1(hcm.http_protocol_options.take())?;
    let allow_connect = hcm.http2_protocol_options.as_ref().is_some_and(|options| options.allow_connect);
    let headers_kib = hcm.max_request_headers_kb.take().map_or(REQUEST_HEADERS_KIB, |kib| kib.value);
    let chain = HttpChain {
        stat_prefix: std::mem::take(&mut hcm.stat_prefix).into(),
        refusal,
        server: server(&mut hcm)?,
        path_normalization: path_normalization(&mut hcm)?,
        accept_http_10,
        preserve_header_case,
        max_request_headers_bytes: headers_kib.saturating_mul(1024),
        max_request_headers_count,
        idle_timeout,
        stream_idle_timeout: timeout(hcm.stream_idle_timeout.take(), STREAM_IDLE_TIMEOUT)
            .at("stream_idle_timeout")?,
        request_timeout: values::limit(hcm.request_timeout.take().as_ref()).at("request_timeout")?,
        allow_connect,
        upgrades: upgrades(std::mem::take(&mut hcm.upgrade_configs))?,
        generate_request_id: hcm.generate_request_id.take().is_none_or(|generate| generate.value),
        forward_client_cert: forward_client_cert(std::mem::take(&mut hcm.forward_client_cert_details))?,
        append_x_forwarded_port: std::mem::take(&mut hcm.append_x_forwarded_port),
        filters,
        routes: Arc::new(routes),
        access_logs,
        tracing,
        names_operation,
    };
    if hcm.use_remote_address.take().is_some_and(|remote| remote.value) {
        return Err(Problem::unsupported("unsupported_field", "use_remote_address"));
    }
    ignored::connection_manager(&mut hcm);
    wire::nothing_left(&hcm)?;
    Ok(chain)
}

fn routes(
    specifier: Option<pb::http_connection_manager::RouteSpecifier>,
    warnings: &mut Warnings,
) -> Result<crate::model::route::RouteTable> {
    use pb::http_connection_manager::RouteSpecifier as Kind;
    match specifier {
        Some(Kind::RouteConfig(config)) => route::table(config, warnings).at("route_config"),
        // istiod inlines all routes of a waypoint.
        Some(Kind::Rds(rds)) => {
            Err(Problem::unsupported("unsupported_routes", format!("rds:{}", rds.route_config_name)))
        }
        Some(Kind::ScopedRoutes(scoped)) => Err(Problem::unsupported("unsupported_routes", scoped.name)),
        None => Err(Problem::unsupported("unsupported_routes", "none")),
    }
}

/// Unset means Envoy's default, zero means never.
fn timeout(value: Option<super::pb::protobuf::Duration>, default: Duration) -> Result<Option<Duration>> {
    let timeout = values::optional_duration(value.as_ref())?.unwrap_or(default);
    Ok(Some(timeout).filter(|timeout| !timeout.is_zero()))
}

fn common(options: Option<core::HttpProtocolOptions>) -> Result<(Option<Duration>, u32)> {
    let mut options = options.unwrap_or_default();
    let idle =
        timeout(options.idle_timeout.take(), IDLE_TIMEOUT).at("common_http_protocol_options.idle_timeout")?;
    let count = options.max_headers_count.take().map_or(REQUEST_HEADERS_COUNT, |count| count.value);
    wire::nothing_left(&options)?;
    Ok((idle, count))
}

fn http1(options: Option<core::Http1ProtocolOptions>) -> Result<(bool, bool)> {
    use core::http1_protocol_options::header_key_format::HeaderFormat;
    let mut options = options.unwrap_or_default();
    let accept_http_10 = std::mem::take(&mut options.accept_http_10);
    let preserve = match options.header_key_format.take().and_then(|format| format.header_format) {
        None => false,
        Some(HeaderFormat::StatefulFormatter(formatter)) if formatter.name == "preserve_case" => true,
        Some(_) => return Err(Problem::unsupported("unsupported_field", "header_key_format")),
    };
    wire::nothing_left(&options)?;
    Ok((accept_http_10, preserve))
}

fn server(hcm: &mut pb::HttpConnectionManager) -> Result<Option<HeaderValue>> {
    use pb::http_connection_manager::ServerHeaderTransformation as Kind;
    let name = std::mem::take(&mut hcm.server_name);
    match wire::enum_value(
        std::mem::take(&mut hcm.server_header_transformation),
        "server_header_transformation",
    )? {
        Kind::Overwrite if name.is_empty() => Ok(Some(HeaderValue::from_static("envoy"))), // Envoy's default
        Kind::Overwrite => values::header_value(&name).at("server_name").map(Some),
        Kind::PassThrough => Ok(None),
        Kind::AppendIfAbsent => {
            Err(Problem::unsupported("unsupported_field", "server_header_transformation"))
        }
    }
}

fn path_normalization(hcm: &mut pb::HttpConnectionManager) -> Result<PathNormalization> {
    use pb::http_connection_manager::PathWithEscapedSlashesAction as Kind;
    let action = std::mem::take(&mut hcm.path_with_escaped_slashes_action);
    let escaped_slashes = match wire::enum_value(action, "path_with_escaped_slashes_action")? {
        Kind::ImplementationSpecificDefault | Kind::KeepUnchanged => EscapedSlashes::KeepUnchanged,
        Kind::RejectRequest => EscapedSlashes::Reject,
        Kind::UnescapeAndRedirect => EscapedSlashes::UnescapeAndRedirect,
        Kind::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
    };
    Ok(PathNormalization {
        normalize: hcm.normalize_path.take().is_some_and(|normalize| normalize.value),
        merge_slashes: std::mem::take(&mut hcm.merge_slashes),
        escaped_slashes,
    })
}

fn upgrades(configs: Vec<pb::http_connection_manager::UpgradeConfig>) -> Result<Vec<Arc<str>>> {
    let mut upgrades = Vec::new();
    for config in configs {
        if config.enabled.is_some_and(|enabled| !enabled.value) {
            continue;
        }
        // CONNECT is for the tunnel listener; inside one it would be a proxy for anything.
        if !config.filters.is_empty() || config.upgrade_type.eq_ignore_ascii_case("connect") {
            return Err(Problem::unsupported("unsupported_upgrade", config.upgrade_type));
        }
        upgrades.push(config.upgrade_type.to_ascii_lowercase().into());
    }
    Ok(upgrades)
}

fn forward_client_cert(details: i32) -> Result<ForwardClientCert> {
    use pb::http_connection_manager::ForwardClientCertDetails as Kind;
    match wire::enum_value(details, "forward_client_cert_details")? {
        Kind::Sanitize => Ok(ForwardClientCert::Sanitize),
        Kind::AlwaysForwardOnly => Ok(ForwardClientCert::AlwaysForward),
        other => Err(Problem::unsupported("unsupported_field", other.as_str_name())),
    }
}

#[cfg(test)]
mod tests;
