//! The HTTP filters of a chain, by the type of their configuration, in istiod's order.
//!
//! A filter is honoured, or known to be telemetry only, or refuses its chain: being in the chain means it may be policy.

use super::ecds::Asked;
use super::pb::{self, core, hcm, header_mutation, mutation_rules, protobuf::Any};
use super::problem::{At, Problem, Result, Warnings};
use super::{ext_authz, ignored, jwt, rate_limit, rbac, stats, wire};
use crate::model::http_chain::HttpFilter;
use std::sync::Arc;

pub(super) fn filters(
    list: Vec<hcm::HttpFilter>,
    extensions: &mut Asked<'_>,
    warnings: &mut Warnings,
) -> Result<Vec<HttpFilter>> {
    let mut filters = Vec::new();
    for (index, filter) in list.into_iter().enumerate() {
        if matches!(filters.last(), Some(HttpFilter::Router { .. })) {
            return Err(Problem::invalid("a filter follows the router")).at_index("http_filters", index);
        }
        filters.extend(self::filter(&filter, extensions, warnings).at_index("http_filters", index)?);
    }
    match filters.last() {
        Some(HttpFilter::Router { .. }) => Ok(filters),
        _ => Err(Problem::invalid("no router filter at the end").at_field("http_filters")),
    }
}

impl Problem {
    fn at_field(self, field: &str) -> Self {
        match self {
            Self::Invalid { reason, .. } => Self::Invalid { path: field.to_owned(), reason },
            unsupported @ Self::Unsupported { .. } => unsupported,
        }
    }
}

fn filter(
    filter: &hcm::HttpFilter,
    extensions: &mut Asked<'_>,
    warnings: &mut Warnings,
) -> Result<Option<HttpFilter>> {
    let name = filter.name.as_str();
    if filter.disabled {
        return Ok(None); // only a route could switch it on, and such route configurations are refused there
    }
    let result = match &filter.config_type {
        Some(hcm::http_filter::ConfigType::TypedConfig(any)) => {
            wire::unwrapped(any).and_then(|any| typed(name, &any, warnings))
        }
        Some(hcm::http_filter::ConfigType::ConfigDiscovery(_)) => {
            extensions.skip(name, warnings).map(|()| None)
        }
        None => Err(unsupported(name)),
    };
    match result {
        Err(Problem::Unsupported { .. }) if filter.is_optional => {
            warnings.push(format!("optional filter {name} is skipped"));
            Ok(None)
        }
        other => other,
    }
}

pub(super) fn unsupported(name: &str) -> Problem {
    Problem::unsupported("unsupported_filter", name)
}

fn typed(name: &str, any: &Any, warnings: &mut Warnings) -> Result<Option<HttpFilter>> {
    Ok(match wire::type_name(any) {
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication" => {
            Some(HttpFilter::JwtAuthn(Arc::new(jwt::filter(any, warnings)?)))
        }
        "envoy.extensions.filters.http.rbac.v3.RBAC" => {
            Some(HttpFilter::Rbac(Arc::new(rbac::http_filter(wire::unpack(any, warnings)?, warnings)?)))
        }
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz" => {
            let authz = ext_authz::http_filter(wire::unpack(any, warnings)?).at("ext_authz")?;
            Some(HttpFilter::ExtAuthz(Arc::new(authz)))
        }
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit" => {
            let limit = rate_limit::config(name, wire::unpack(any, warnings)?).at("local_ratelimit")?;
            Some(HttpFilter::LocalRateLimit(Arc::new(limit)))
        }
        "envoy.extensions.filters.http.ratelimit.v3.RateLimit" => {
            let limit = rate_limit::global::filter(name, wire::unpack(any, warnings)?).at("ratelimit")?;
            Some(HttpFilter::RateLimit(Arc::new(limit)))
        }
        // Their configuration in the chain is always empty; a policy here would be for every route.
        "envoy.extensions.filters.http.fault.v3.HTTPFault" => {
            let mut config: pb::fault::HttpFault = wire::unpack(any, warnings)?;
            ignored::fault(&mut config);
            wire::nothing_left(&config)?;
            Some(HttpFilter::Fault)
        }
        "envoy.extensions.filters.http.cors.v3.Cors" => Some(HttpFilter::Cors),
        "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig" => Some(HttpFilter::GrpcStats),
        "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb" => Some(HttpFilter::GrpcWeb), // has no settings
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation" => {
            Some(client_identity(name, wire::unpack(any, warnings)?)?)
        }
        "stats.PluginConfig" => Some(HttpFilter::Stats(stats::filter(any, warnings)?)),
        "envoy.extensions.filters.http.router.v3.Router" => Some(router(wire::unpack(any, warnings)?)?),
        "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig" => {
            super::dynamic_forward_proxy::http(wire::unpack(any, warnings)?)?;
            None
        }
        "udpa.type.v1.TypedStruct" => {
            peer_metadata(name, &wire::unpack(any, warnings)?, warnings)?;
            None
        }
        _ => return Err(unsupported(name)),
    })
}

fn router(mut router: pb::router::Router) -> Result<HttpFilter> {
    let suppress_envoy_headers = std::mem::take(&mut router.suppress_envoy_headers);
    ignored::router(&mut router);
    wire::nothing_left(&router)?;
    Ok(HttpFilter::Router { suppress_envoy_headers })
}

/// Peers are found in WDS by address, which is what `workload_discovery` says; other ways are warned about.
pub(super) fn peer_metadata(name: &str, config: &pb::TypedStruct, warnings: &mut Warnings) -> Result<()> {
    match config.type_url.rsplit('/').next().unwrap_or_default() {
        "io.istio.http.peer_metadata.Config" => {
            if format!("{:?}", config.value).contains("baggage") {
                warnings.push("baggage as a source of peer metadata is not honoured, WDS is");
            }
            Ok(())
        }
        "envoy.tcp.metadataexchange.config.MetadataExchange"
        | "envoy.extensions.network_filters.peer_metadata.Config"
        | "envoy.extensions.network_filters.peer_metadata.UpstreamConfig" => Ok(()),
        _ => Err(unsupported(name)),
    }
}

const IDENTITY_VALUE: &str =
    "By=%FILTER_STATE(io.istio.local_principal:PLAIN)%;URI=%FILTER_STATE(io.istio.peer_principal:PLAIN)%";

/// The one header mutation istiod sends: x-forwarded-client-cert from both principals.
fn client_identity(name: &str, config: header_mutation::HeaderMutation) -> Result<HttpFilter> {
    use core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd;
    use mutation_rules::header_mutation::Action;
    let mutations = config.mutations.unwrap_or_default();
    let wanted = core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: "x-forwarded-client-cert".into(),
            value: IDENTITY_VALUE.into(),
            raw_value: Vec::new(),
        }),
        append_action: OverwriteIfExistsOrAdd as i32,
        ..Default::default()
    };
    let wanted = header_mutation::Mutations {
        request_mutations: vec![mutation_rules::HeaderMutation { action: Some(Action::Append(wanted)) }],
        ..Default::default()
    };
    if mutations == wanted { Ok(HttpFilter::ClientIdentityXfcc) } else { Err(unsupported(name)) }
}

#[cfg(test)]
mod tests;
