//! Clusters whose endpoints are names: DNS clusters and the dynamic forward proxy.

use super::super::pb::{cluster as pb, dfp, dfp_cluster, protobuf, protobuf::Any};
use super::super::problem::{At, Problem, Result, Warnings};
use super::super::{ignored, values, wire};
use crate::model::dns::{DnsFamily, DnsSettings};
use std::time::Duration;

/// Envoy's default of a DNS cluster, and of the dynamic forward proxy's cache.
const REFRESH: Duration = Duration::from_secs(5);
const CACHE_REFRESH: Duration = Duration::from_secs(60);

pub(super) fn settings(proto: &mut pb::Cluster) -> Result<DnsSettings> {
    let refresh = values::limit(proto.dns_refresh_rate.take().as_ref()).at("dns_refresh_rate")?;
    let refresh = refresh.unwrap_or(REFRESH);
    let failure = failure_refresh(proto.dns_failure_refresh_rate.take())?;
    Ok(DnsSettings {
        family: family(std::mem::take(&mut proto.dns_lookup_family))?,
        refresh,
        failure_refresh: failure.unwrap_or(refresh),
        respect_ttl: std::mem::take(&mut proto.respect_dns_ttl),
    })
}

/// `envoy.clusters.dynamic_forward_proxy`.
pub(super) fn dynamic(any: Option<&Any>, warnings: &mut Warnings) -> Result<DnsSettings> {
    use dfp_cluster::cluster_config::ClusterImplementationSpecifier as Kind;
    let any = any.ok_or_else(|| Problem::invalid("cluster_type without configuration"))?;
    let mut config: dfp_cluster::ClusterConfig = wire::unpack(any, warnings)?;
    let cache = match config.cluster_implementation_specifier.take() {
        Some(Kind::DnsCacheConfig(cache)) => cache,
        Some(Kind::SubClustersConfig(_)) => {
            return Err(Problem::unsupported("unsupported_cluster", "sub_clusters_config"));
        }
        None => return Err(Problem::invalid("no DNS cache")),
    };
    // Only demands more of TLS clusters: without it a cluster must name and check servers by host.
    config.allow_insecure_cluster_options = false;
    wire::nothing_left(&config)?;
    self::cache(cache)
}

/// The cache the filter and its cluster share.
pub(in super::super) fn cache(mut cache: dfp::DnsCacheConfig) -> Result<DnsSettings> {
    let refresh = values::limit(cache.dns_refresh_rate.take().as_ref()).at("dns_refresh_rate")?;
    let refresh = refresh.unwrap_or(CACHE_REFRESH);
    let failure = failure_refresh(cache.dns_failure_refresh_rate.take())?;
    let family = family(std::mem::take(&mut cache.dns_lookup_family))?;
    ignored::dns_cache(&mut cache);
    wire::nothing_left(&cache)?;
    Ok(DnsSettings { family, refresh, failure_refresh: failure.unwrap_or(refresh), respect_ttl: true })
}

fn failure_refresh(rate: Option<pb::cluster::RefreshRate>) -> Result<Option<Duration>> {
    let base: Option<protobuf::Duration> = rate.and_then(|rate| rate.base_interval);
    values::limit(base.as_ref()).at("dns_failure_refresh_rate")
}

fn family(value: i32) -> Result<DnsFamily> {
    use pb::cluster::DnsLookupFamily as Family;
    Ok(match wire::enum_value(value, "dns_lookup_family")? {
        Family::Auto => DnsFamily::Auto,
        Family::V4Only => DnsFamily::V4Only,
        Family::V6Only => DnsFamily::V6Only,
        Family::V4Preferred => DnsFamily::V4Preferred,
        Family::All => DnsFamily::All,
    })
}
