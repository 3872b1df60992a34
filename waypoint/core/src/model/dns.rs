//! How names of endpoints are resolved. Envoy: `Cluster.dns_*`, `DnsCacheConfig`.

use super::endpoint::Assignment;
use std::sync::Arc;
use std::time::Duration;

/// The names of a DNS cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsDiscovery {
    pub assignment: Arc<Assignment>,
    pub settings: DnsSettings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DnsSettings {
    pub family: DnsFamily,
    /// Asked again after this; with `respect_ttl` after the records' time to live.
    pub refresh: Duration,
    pub failure_refresh: Duration,
    pub respect_ttl: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DnsFamily {
    /// IPv6; IPv4 when there is none.
    #[default]
    Auto,
    V4Only,
    V6Only,
    V4Preferred,
    All,
}
