//! The dynamic forward proxy's filters. They ask for addresses early; ours are asked for when the endpoint is chosen, by
//! the cluster alone, so nothing of them is kept but the port.

use super::cluster::dns;
use super::pb::{dfp_filter, sni_dfp_filter};
use super::problem::{At, Problem, Result};
use super::{values, wire};

pub(super) fn http(mut filter: dfp_filter::FilterConfig) -> Result<()> {
    use dfp_filter::filter_config::ImplementationSpecifier as Kind;
    match filter.implementation_specifier.take() {
        Some(Kind::DnsCacheConfig(cache)) => dns::cache(cache).at("dns_cache_config")?,
        Some(Kind::SubClusterConfig(_)) => {
            return Err(Problem::unsupported("unsupported_filter", "sub_cluster_config"));
        }
        None => return Err(Problem::invalid("no DNS cache")),
    };
    filter.save_upstream_address = false; // for filters of Envoy's
    wire::nothing_left(&filter)
}

/// The port the name is dialled at. Envoy: 443.
pub(super) fn sni(mut filter: sni_dfp_filter::FilterConfig) -> Result<u16> {
    let sni_dfp_filter::filter_config::PortSpecifier::PortValue(port) =
        filter.port_specifier.take().unwrap_or(sni_dfp_filter::filter_config::PortSpecifier::PortValue(443));
    if let Some(cache) = filter.dns_cache_config.take() {
        dns::cache(cache).at("dns_cache_config")?;
    }
    filter.save_upstream_address = false;
    wire::nothing_left(&filter)?;
    values::port(port)
}
