//! Forwarding and redirects. Envoy: `route.v3.{RouteAction, RedirectAction}`.

use super::super::pb::route as pb;
use super::super::problem::{At, Problem, Result};
use super::super::{ignored, matcher, values, wire};
use super::{mutations, retry};
use crate::model::route::{
    ClusterChoice, Forward, HashPolicy, HostRewrite, Mirror, PathRewrite, Redirect, WeightedCluster,
};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;

/// Envoy's default for a route that names no timeout; istiod always names one.
const TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn forward(mut route: pb::RouteAction) -> Result<Forward> {
    use pb::route_action::ClusterNotFoundResponseCode as Code;
    let cluster_not_found = match wire::enum_value(
        std::mem::take(&mut route.cluster_not_found_response_code),
        "cluster_not_found_response_code",
    )? {
        Code::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let timeout = values::optional_duration(route.timeout.take().as_ref()).at("timeout")?.unwrap_or(TIMEOUT);
    let forward = Forward {
        clusters: clusters(route.cluster_specifier.take())?,
        timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
        max_grpc_timeout: values::optional_duration(route.max_grpc_timeout.take().as_ref())
            .at("max_grpc_timeout")?,
        idle_timeout: values::optional_duration(route.idle_timeout.take().as_ref()).at("idle_timeout")?,
        retry: route.retry_policy.take().map(retry::policy).transpose().at("retry_policy")?.map(Arc::new),
        rewrite: rewrite(&mut route)?,
        host_rewrite: route.host_rewrite_specifier.take().map(host_rewrite).transpose()?.flatten(),
        append_x_forwarded_host: std::mem::take(&mut route.append_x_forwarded_host),
        mirrors: list(std::mem::take(&mut route.request_mirror_policies), "request_mirror_policies", mirror)?,
        hash: list(std::mem::take(&mut route.hash_policy), "hash_policy", hash)?,
        cluster_not_found,
        upgrades: list(std::mem::take(&mut route.upgrade_configs), "upgrade_configs", upgrade)?,
    };
    ignored::route_action(&mut route);
    wire::nothing_left(&route)?;
    Ok(forward)
}

fn list<P, T>(items: Vec<P>, field: &str, translate: impl Fn(P) -> Result<T>) -> Result<Vec<T>> {
    items.into_iter().enumerate().map(|(index, item)| translate(item).at_index(field, index)).collect()
}

fn clusters(specifier: Option<pb::route_action::ClusterSpecifier>) -> Result<ClusterChoice> {
    use pb::route_action::ClusterSpecifier as Kind;
    match specifier {
        Some(Kind::Cluster(name)) => Ok(ClusterChoice::Single(name.into())),
        Some(Kind::ClusterHeader(name)) => Ok(ClusterChoice::Header(values::header_name(&name)?)),
        Some(Kind::WeightedClusters(weighted)) => weighted_clusters(weighted).at("weighted_clusters"),
        Some(Kind::ClusterSpecifierPlugin(name)) => Err(Problem::unsupported("unsupported_cluster", name)),
        Some(Kind::InlineClusterSpecifierPlugin(_)) => {
            Err(Problem::unsupported("unsupported_cluster", "inline_plugin"))
        }
        None => Err(Problem::unsupported("unsupported_cluster", "unknown")),
    }
}

fn weighted_clusters(mut weighted: pb::WeightedCluster) -> Result<ClusterChoice> {
    let clusters = list(std::mem::take(&mut weighted.clusters), "clusters", weighted_cluster)?;
    // `total_weight` is deprecated and must equal the sum.
    weighted.total_weight = None;
    wire::nothing_left(&weighted)?;
    let total =
        clusters.iter().try_fold(0u32, |sum, cluster: &WeightedCluster| sum.checked_add(cluster.weight));
    match total {
        Some(0) => Err(Problem::invalid("the weights sum to zero")),
        Some(total) => Ok(ClusterChoice::Weighted { clusters, total }),
        None => Err(Problem::invalid("the weights sum to more than 4294967295")),
    }
}

fn weighted_cluster(mut cluster: pb::weighted_cluster::ClusterWeight) -> Result<WeightedCluster> {
    use pb::weighted_cluster::cluster_weight::HostRewriteSpecifier::HostRewriteLiteral;
    let host =
        cluster.host_rewrite_specifier.take().map(|HostRewriteLiteral(host)| values::header_value(&host));
    let translated = WeightedCluster {
        name: std::mem::take(&mut cluster.name).into(),
        weight: cluster.weight.take().map_or(0, |weight| weight.value),
        request_headers: mutations(
            &mut cluster.request_headers_to_add,
            &mut cluster.request_headers_to_remove,
        )?,
        response_headers: mutations(
            &mut cluster.response_headers_to_add,
            &mut cluster.response_headers_to_remove,
        )?,
        host_rewrite: host.transpose()?,
    };
    wire::nothing_left(&cluster)?;
    Ok(translated)
}

fn rewrite(route: &mut pb::RouteAction) -> Result<Option<PathRewrite>> {
    let prefix = std::mem::take(&mut route.prefix_rewrite);
    match (prefix.is_empty(), route.regex_rewrite.take()) {
        (true, None) => Ok(None),
        (false, None) => Ok(Some(PathRewrite::Prefix(prefix.into()))),
        (true, Some(regex)) => matcher::regex_rewrite(&regex).at("regex_rewrite").map(Some),
        (false, Some(_)) => Err(Problem::invalid("prefix_rewrite and regex_rewrite together")),
    }
}

fn host_rewrite(specifier: pb::route_action::HostRewriteSpecifier) -> Result<Option<HostRewrite>> {
    use pb::route_action::HostRewriteSpecifier as Kind;
    Ok(match specifier {
        Kind::HostRewriteLiteral(host) => Some(HostRewrite::Literal(values::header_value(&host)?)),
        Kind::AutoHostRewrite(auto) => auto.value.then_some(HostRewrite::Auto),
        Kind::HostRewriteHeader(name) => Some(HostRewrite::Header(values::header_name(&name)?)),
        Kind::HostRewritePathRegex(_) => {
            return Err(Problem::unsupported("unsupported_rewrite", "host_rewrite_path_regex"));
        }
        Kind::HostRewrite(_) => return Err(Problem::unsupported("unsupported_rewrite", "host_rewrite")),
    })
}

fn mirror(mut mirror: pb::route_action::RequestMirrorPolicy) -> Result<Mirror> {
    let translated = Mirror {
        cluster: std::mem::take(&mut mirror.cluster).into(),
        fraction: values::runtime_fraction(mirror.runtime_fraction.take().as_ref())?,
        append_shadow_suffix: !std::mem::take(&mut mirror.disable_shadow_host_suffix_append),
    };
    ignored::mirror(&mut mirror);
    wire::nothing_left(&mirror)?;
    if translated.cluster.is_empty() {
        return Err(Problem::unsupported("unsupported_mirror", "cluster"));
    }
    Ok(translated)
}

fn hash(policy: pb::route_action::HashPolicy) -> Result<HashPolicy> {
    use pb::route_action::hash_policy::PolicySpecifier as Kind;
    let terminal = policy.terminal;
    match policy.policy_specifier {
        Some(Kind::Header(header)) if header.regex_rewrite.is_none() => {
            Ok(HashPolicy::Header { name: values::header_name(&header.header_name)?, terminal })
        }
        Some(Kind::Cookie(cookie)) => cookie_hash(cookie, terminal),
        Some(Kind::ConnectionProperties(properties)) if properties.source_ip => {
            Ok(HashPolicy::SourceIp { terminal })
        }
        Some(Kind::QueryParameter(query)) => Ok(HashPolicy::Query { name: query.name.into(), terminal }),
        _ => Err(Problem::unsupported("unsupported_hash", "policy_specifier")),
    }
}

fn cookie_hash(cookie: pb::route_action::hash_policy::Cookie, terminal: bool) -> Result<HashPolicy> {
    let mut attributes = String::new();
    for attribute in &cookie.attributes {
        let parts = [&attribute.name, &attribute.value];
        // It goes into `set-cookie` as it is: nothing in it may end the attribute or the header.
        let separates = |c: char| c == ';' || c == ',' || c.is_ascii_control();
        if attribute.name.is_empty() || parts.iter().any(|part| part.contains(separates)) {
            return Err(Problem::unsupported("unsupported_hash", "cookie attributes"));
        }
        attributes.push_str("; ");
        attributes.push_str(&attribute.name);
        if !attribute.value.is_empty() {
            attributes.push('=');
            attributes.push_str(&attribute.value);
        }
    }
    Ok(HashPolicy::Cookie {
        ttl: values::optional_duration(cookie.ttl.as_ref())?,
        name: cookie.name.into(),
        path: cookie.path.into(),
        attributes: attributes.into(),
        terminal,
    })
}

fn upgrade(upgrade: pb::route_action::UpgradeConfig) -> Result<(Arc<str>, bool)> {
    if upgrade.connect_config.is_some() {
        return Err(Problem::unsupported("unsupported_upgrade", upgrade.upgrade_type));
    }
    Ok((
        upgrade.upgrade_type.to_ascii_lowercase().into(),
        upgrade.enabled.is_none_or(|enabled| enabled.value),
    ))
}

pub(super) fn redirect(mut redirect: pb::RedirectAction) -> Result<Redirect> {
    use pb::redirect_action::RedirectResponseCode as Code;
    use pb::redirect_action::{PathRewriteSpecifier as Path, SchemeRewriteSpecifier as Scheme};
    let status = match wire::enum_value(std::mem::take(&mut redirect.response_code), "response_code")? {
        Code::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
        Code::Found => StatusCode::FOUND,
        Code::SeeOther => StatusCode::SEE_OTHER,
        Code::TemporaryRedirect => StatusCode::TEMPORARY_REDIRECT,
        Code::PermanentRedirect => StatusCode::PERMANENT_REDIRECT,
    };
    let (scheme, https) = match redirect.scheme_rewrite_specifier.take() {
        Some(Scheme::SchemeRedirect(scheme)) => (Some(scheme), false),
        Some(Scheme::HttpsRedirect(https)) => (None, https),
        None => (None, false),
    };
    let path = match redirect.path_rewrite_specifier.take() {
        Some(Path::PathRedirect(path)) if path.is_empty() => None,
        Some(Path::PathRedirect(path)) => Some(PathRewrite::Full(path.into())),
        Some(Path::PrefixRewrite(prefix)) => Some(PathRewrite::Prefix(prefix.into())),
        Some(Path::RegexRewrite(regex)) => Some(matcher::regex_rewrite(&regex).at("regex_rewrite")?),
        Some(Path::PathRewrite(_)) => {
            return Err(Problem::unsupported("unsupported_redirect", "path_rewrite"));
        }
        None => None,
    };
    let port = values::port(std::mem::take(&mut redirect.port_redirect)).at("port_redirect")?;
    let translated = Redirect {
        status,
        scheme: scheme.filter(|scheme| !scheme.is_empty()).map(Into::into),
        host: Some(std::mem::take(&mut redirect.host_redirect))
            .filter(|host| !host.is_empty())
            .map(Into::into),
        port: Some(port).filter(|port| *port != 0),
        path,
        strip_query: std::mem::take(&mut redirect.strip_query),
        https,
    };
    wire::nothing_left(&redirect)?;
    Ok(translated)
}
