//! One TCP filter chain. Envoy: `tcp_proxy`; istiod: `buildWaypointNetworkFilters`.

use super::ecds::Asked;
use super::pb::{self, listener as pb_listener, protobuf::Any, tcp_proxy, types};
use super::problem::{At, Problem, Result, Warnings};
use super::{access_log, ext_authz, http_chain, http_filters, ignored, rbac, stats, values, wire};
use crate::model::listener::{ChainBody, NetworkFilter, TcpChain, TcpClusters};
use std::sync::Arc;

/// What the filters before the terminal one add up to.
#[derive(Default)]
struct Leading {
    filters: Vec<NetworkFilter>,
    stats: Option<crate::model::http_chain::StatsFilter>,
    sni_port: Option<u16>,
}

/// The network filters of one chain; an HTTP connection manager as terminal filter makes it an HTTP chain.
pub(super) fn body(
    filters: Vec<pb_listener::Filter>,
    extensions: &mut Asked<'_>,
    warnings: &mut Warnings,
) -> Result<ChainBody> {
    let mut leading = Leading::default();
    let last = filters.len().saturating_sub(1);
    for (index, filter) in filters.into_iter().enumerate() {
        let name = filter.name.as_str();
        let any = match &filter.config_type {
            Some(pb_listener::filter::ConfigType::TypedConfig(any)) => any,
            Some(pb_listener::filter::ConfigType::ConfigDiscovery(_)) => {
                extensions.skip(name, warnings)?;
                continue;
            }
            None => return Err(http_filters::unsupported(name)),
        };
        if index < last {
            before(name, any, &mut leading, warnings).at_index("filters", index)?;
            continue;
        }
        return terminal(name, any, leading, (extensions, warnings)).at_index("filters", index);
    }
    Err(Problem::invalid("filter chain without a terminal filter"))
}

fn before(name: &str, any: &Any, leading: &mut Leading, warnings: &mut Warnings) -> Result<()> {
    match wire::type_name(any) {
        "envoy.extensions.filters.network.rbac.v3.RBAC" => {
            let rbac = rbac::network_filter(wire::unpack(any, warnings)?, warnings)?;
            leading.filters.push(NetworkFilter::Rbac(Arc::new(rbac)));
        }
        "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz" => {
            let authz = ext_authz::network_filter(wire::unpack(any, warnings)?)?;
            leading.filters.push(NetworkFilter::ExtAuthz(Arc::new(authz)));
        }
        "stats.PluginConfig" => leading.stats = Some(stats::filter(any, warnings)?),
        "udpa.type.v1.TypedStruct" => {
            http_filters::peer_metadata(name, &wire::unpack(any, warnings)?, warnings)?;
        }
        "envoy.extensions.filters.network.set_filter_state.v3.Config" => {
            carry_target(name, &wire::unpack(any, warnings)?)?;
        }
        "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig" => {
            leading.sni_port = Some(super::dynamic_forward_proxy::sni(wire::unpack(any, warnings)?)?);
        }
        // Counts MongoDB operations and passes the bytes on.
        "envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy" => {
            let mut mongo: pb::mongo_proxy::MongoProxy = wire::unpack(any, warnings)?;
            ignored::mongo(&mut mongo);
            wire::nothing_left(&mongo)?;
            warnings.push("mongo_proxy statistics are not kept");
        }
        _ => return Err(http_filters::unsupported(name)),
    }
    Ok(())
}

/// `connect_authority` and `set_dst_address` hand the CONNECT target on to the next hop, which our connector does anyway.
fn carry_target(name: &str, config: &pb::network_filter_state::Config) -> Result<()> {
    use pb::filter_state::filter_state_value::Key::ObjectKey;
    const KNOWN: &[&str] = &[
        "envoy.filters.listener.original_dst.local_ip",
        "envoy.network.transport_socket.original_dst_address",
    ];
    let known = config
        .on_new_connection
        .iter()
        .all(|value| matches!(&value.key, Some(ObjectKey(key)) if KNOWN.contains(&key.as_str())));
    let only = pb::network_filter_state::Config {
        on_new_connection: config.on_new_connection.clone(),
        ..Default::default()
    };
    if known && only == *config { Ok(()) } else { Err(http_filters::unsupported(name)) }
}

fn terminal(
    name: &str,
    any: &Any,
    leading: Leading,
    (extensions, warnings): (&mut Asked<'_>, &mut Warnings),
) -> Result<ChainBody> {
    match wire::type_name(any) {
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager" => {
            if leading.sni_port.is_some() {
                return Err(Problem::unsupported("unsupported_filter", "SNI forward proxy before HTTP"));
            }
            if !leading.filters.is_empty() {
                return Err(Problem::unsupported("unsupported_filter", "network policy before HTTP"));
            }
            let hcm = wire::unpack(any, warnings)?;
            http_chain::chain(hcm, extensions, warnings).map(|chain| ChainBody::Http(Arc::new(chain)))
        }
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy" => {
            let proxy = wire::unpack(any, warnings)?;
            tcp(proxy, leading, warnings).map(|chain| ChainBody::Tcp(Arc::new(chain)))
        }
        _ => Err(http_filters::unsupported(name)),
    }
}

/// Envoy: 1 h without a byte either way.
const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3600);

fn tcp(mut proxy: tcp_proxy::TcpProxy, leading: Leading, warnings: &mut Warnings) -> Result<TcpChain> {
    use tcp_proxy::tcp_proxy::ClusterSpecifier as Kind;
    let clusters = match proxy.cluster_specifier.take() {
        Some(Kind::Cluster(name)) => TcpClusters::Single(name.into()),
        Some(Kind::WeightedClusters(weighted)) => weighted_clusters(weighted).at("weighted_clusters")?,
        None => return Err(Problem::unsupported("unsupported_cluster", "unknown")),
    };
    let idle = values::optional_duration(proxy.idle_timeout.take().as_ref()).at("idle_timeout")?;
    let duration = proxy.max_downstream_connection_duration.take();
    let chain = TcpChain {
        stat_prefix: std::mem::take(&mut proxy.stat_prefix).into(),
        filters: leading.filters,
        clusters,
        idle_timeout: Some(idle.unwrap_or(IDLE_TIMEOUT)).filter(|idle| !idle.is_zero()),
        max_connection_duration: values::limit(duration.as_ref()).at("max_downstream_connection_duration")?,
        hash_source_ip: hash_source_ip(&std::mem::take(&mut proxy.hash_policy))?,
        access_logs: access_log::loggers(std::mem::take(&mut proxy.access_log), warnings)?,
        stats: leading.stats,
        sni_port: leading.sni_port,
    };
    ignored::tcp_proxy(&mut proxy);
    wire::nothing_left(&proxy)?;
    Ok(chain)
}

fn weighted_clusters(weighted: tcp_proxy::tcp_proxy::WeightedCluster) -> Result<TcpClusters> {
    if weighted.clusters.iter().any(|cluster| cluster.metadata_match.is_some()) {
        return Err(Problem::unsupported("unsupported_field", "metadata_match"));
    }
    let clusters: Vec<_> =
        weighted.clusters.into_iter().map(|cluster| (cluster.name.into(), cluster.weight)).collect();
    let total = clusters.iter().try_fold(0u32, |sum, (_, weight)| sum.checked_add(*weight));
    match total {
        Some(total) if total > 0 => Ok(TcpClusters::Weighted { clusters, total }),
        _ => Err(Problem::invalid("the weights sum to zero, or to too much")),
    }
}

fn hash_source_ip(policies: &[types::HashPolicy]) -> Result<bool> {
    use types::hash_policy::PolicySpecifier as Kind;
    match policies {
        [] => Ok(false),
        [types::HashPolicy { policy_specifier: Some(Kind::SourceIp(_)) }] => Ok(true),
        _ => Err(Problem::unsupported("unsupported_hash", "tcp_proxy")),
    }
}

#[cfg(test)]
mod tests;
