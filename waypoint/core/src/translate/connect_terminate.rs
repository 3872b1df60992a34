//! `connect_terminate`: who may open a tunnel. Its shape is istiod's alone (`buildConnectTerminateListener`), so it is
//! compared rather than compiled; what deviates refuses every CONNECT by name.

use super::pb::{
    self, core, hcm, http_filter_state, listener as pb_listener, matcher as pb_matcher, protobuf::Any, tls,
};
use super::problem::{At, Problem, Result, Warnings};
use super::{access_log, http_filters, ignored, rate_limit, rbac, wire};
use crate::model::listener::{ConnectFilter, ConnectTerminate};
use std::sync::Arc;

/// What the tunnel remembers of its CONNECT; all of it is part of our tunnel anyway.
const KNOWN_STATE: &[&str] = &[
    "envoy.filters.listener.original_dst.local_ip",
    "envoy.filters.listener.original_dst.remote_ip",
    "io.istio.connect_authority",
    "io.istio.peer_principal",
    "io.istio.local_principal",
];

pub(super) fn translate(bytes: &[u8], warnings: &mut Warnings) -> Result<ConnectTerminate> {
    let listener: pb_listener::Listener = wire::decode(bytes, warnings)?;
    let mut terminate = ConnectTerminate::default();
    let result = read(listener, &mut terminate, warnings).or_refusal()?;
    if let Err(refusal) = result {
        warnings.push(format!("connect_terminate refuses every CONNECT: {}", refusal.details));
        terminate.refusal = Some(refusal);
    }
    Ok(terminate)
}

fn read(
    mut listener: pb_listener::Listener,
    terminate: &mut ConnectTerminate,
    warnings: &mut Warnings,
) -> Result<()> {
    terminate.access_logs = access_log::loggers(std::mem::take(&mut listener.access_log), warnings)?;
    let mut chains = std::mem::take(&mut listener.filter_chains);
    ignored::listener(&mut listener);
    ignored::bound_listener(&mut listener);
    wire::nothing_left(&listener)?;
    let mut chain = chains
        .pop()
        .filter(|_| chains.is_empty())
        .ok_or_else(|| Problem::unsupported("unsupported_listener", "filter_chains"))?;
    let socket = chain
        .transport_socket
        .take()
        .ok_or_else(|| Problem::unsupported("unsupported_listener", "no TLS"))?;
    terminate.accepted_san_prefixes =
        accepted_sans(socket, warnings).at("filter_chains[0].transport_socket")?;
    let filters = std::mem::take(&mut chain.filters);
    ignored::filter_chain(&mut chain);
    wire::nothing_left(&chain)?;
    for filter in filters {
        let Some(pb_listener::filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
            return Err(http_filters::unsupported(&filter.name));
        };
        let hcm: hcm::HttpConnectionManager = wire::unpack(any, warnings)?;
        connection_manager(hcm, terminate, warnings).at("filter_chains[0].filters[0]")?;
    }
    Ok(())
}

fn connection_manager(
    mut hcm: hcm::HttpConnectionManager,
    terminate: &mut ConnectTerminate,
    warnings: &mut Warnings,
) -> Result<()> {
    for (index, filter) in std::mem::take(&mut hcm.http_filters).into_iter().enumerate() {
        let Some(hcm::http_filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
            return Err(http_filters::unsupported(&filter.name));
        };
        let any = wire::unwrapped(any)?;
        self::filter(&filter.name, &any, terminate, warnings).at_index("http_filters", index)?;
    }
    let logs = access_log::loggers(std::mem::take(&mut hcm.access_log), warnings)?;
    terminate.access_logs.extend(logs);
    only_connect(hcm.route_specifier.take())?;
    terminate.stat_prefix = std::mem::take(&mut hcm.stat_prefix).into();
    ignored::connect_manager(&mut hcm);
    ignored::connection_manager(&mut hcm);
    wire::nothing_left(&hcm)
}

fn filter(name: &str, any: &Any, terminate: &mut ConnectTerminate, warnings: &mut Warnings) -> Result<()> {
    match wire::type_name(any) {
        "envoy.extensions.filters.http.rbac.v3.RBAC" => {
            let rbac = rbac::http_filter(wire::unpack(any, warnings)?, warnings)?;
            terminate.filters.push(ConnectFilter::Rbac(Arc::new(rbac)));
        }
        // An EnvoyFilter for every connection manager reaches this one, too.
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit" => {
            let limit = rate_limit::config(name, wire::unpack(any, warnings)?).at("local_ratelimit")?;
            rate_limit::constant(&limit)?;
            terminate.filters.push(ConnectFilter::LocalRateLimit(Arc::new(limit)));
        }
        "envoy.extensions.filters.http.ratelimit.v3.RateLimit" => {
            let limit = rate_limit::global::filter(name, wire::unpack(any, warnings)?).at("ratelimit")?;
            rate_limit::global::at_connect(&limit)?;
        }
        "envoy.extensions.filters.http.set_filter_state.v3.Config" => {
            known_state(name, &wire::unpack(any, warnings)?)?;
        }
        "udpa.type.v1.TypedStruct" => {
            http_filters::peer_metadata(name, &wire::unpack(any, warnings)?, warnings)?;
        }
        "envoy.extensions.filters.http.router.v3.Router" => {}
        _ => return Err(http_filters::unsupported(name)),
    }
    Ok(())
}

fn known_state(name: &str, config: &http_filter_state::Config) -> Result<()> {
    use pb::filter_state::filter_state_value::Key::ObjectKey;
    let known = config
        .on_request_headers
        .iter()
        .all(|value| matches!(&value.key, Some(ObjectKey(key)) if KNOWN_STATE.contains(&key.as_str())));
    if known { Ok(()) } else { Err(http_filters::unsupported(name)) }
}

/// One virtual host, one route: any CONNECT goes on to `main_internal`.
fn only_connect(specifier: Option<hcm::http_connection_manager::RouteSpecifier>) -> Result<()> {
    use pb::route::{route::Action, route_action::ClusterSpecifier, route_match::PathSpecifier};
    let Some(hcm::http_connection_manager::RouteSpecifier::RouteConfig(config)) = specifier else {
        return Err(Problem::unsupported("unsupported_routes", "connect_terminate"));
    };
    let limited = config
        .virtual_hosts
        .iter()
        .any(|host| !host.rate_limits.is_empty() || !host.typed_per_filter_config.is_empty());
    let routes: Vec<_> = config.virtual_hosts.iter().flat_map(|host| &host.routes).collect();
    let connects = routes.iter().all(|route| {
        let path = route.r#match.as_ref().and_then(|matched| matched.path_specifier.as_ref());
        let cluster = match &route.action {
            Some(Action::Route(route)) if route.rate_limits.is_empty() => route.cluster_specifier.as_ref(),
            _ => None,
        };
        let plain = route.typed_per_filter_config.is_empty();
        plain
            && matches!(path, Some(PathSpecifier::ConnectMatcher(_)))
            && matches!(cluster, Some(ClusterSpecifier::Cluster(name)) if name == "main_internal")
    });
    if connects && routes.len() == 1 && !limited {
        Ok(())
    } else {
        Err(Problem::unsupported("unsupported_routes", "connect_terminate"))
    }
}

/// The SAN prefixes a client certificate must have one of. Certificates themselves come from our own CA client.
fn accepted_sans(socket: core::TransportSocket, warnings: &mut Warnings) -> Result<Vec<Arc<str>>> {
    use tls::common_tls_context::ValidationContextType as Kind;
    let Some(core::transport_socket::ConfigType::TypedConfig(any)) = socket.config_type else {
        return Err(Problem::unsupported("unsupported_transport_socket", socket.name));
    };
    let context: tls::DownstreamTlsContext = wire::unpack(&any, warnings)?;
    if !context.require_client_certificate.is_some_and(|required| required.value) {
        return Err(Problem::unsupported("unsupported_transport_socket", "no client certificate required"));
    }
    let validation = context.common_tls_context.unwrap_or_default().validation_context_type;
    let validation = match validation {
        Some(Kind::CombinedValidationContext(combined)) => {
            combined.default_validation_context.unwrap_or_default()
        }
        Some(Kind::ValidationContextSdsSecretConfig(_)) => tls::CertificateValidationContext::default(),
        _ => return Err(Problem::unsupported("unsupported_transport_socket", "validation context")),
    };
    san_prefixes(validation)
}

fn san_prefixes(mut validation: tls::CertificateValidationContext) -> Result<Vec<Arc<str>>> {
    use pb_matcher::string_matcher::MatchPattern::Prefix;
    let uri = tls::subject_alt_name_matcher::SanType::Uri as i32;
    let sans = std::mem::take(&mut validation.match_typed_subject_alt_names);
    wire::nothing_left(&validation)?;
    sans.into_iter()
        .map(|san| match san.matcher.and_then(|matcher| matcher.match_pattern) {
            Some(Prefix(prefix)) if san.san_type == uri => Ok(prefix.into()),
            _ => Err(Problem::unsupported("unsupported_transport_socket", "match_typed_subject_alt_names")),
        })
        .collect()
}

#[cfg(test)]
mod tests;
