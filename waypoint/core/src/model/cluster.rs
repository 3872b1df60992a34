//! Clusters: how a set of endpoints is found, balanced and spoken to. Envoy: `config.cluster.v3.Cluster`.

use super::Refusal;
use super::dns::{DnsDiscovery, DnsSettings};
use super::endpoint::Assignment;
use super::route::ClusterName;
use super::tls::TlsOrigination;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Cluster {
    pub name: ClusterName,
    /// What logs and traces call it: `alt_stat_name`, else its name.
    pub observable_name: Arc<str>,
    /// Of the serialized cluster.
    pub content_hash: u64,
    pub discovery: Discovery,
    pub balancing: Balancing,
    /// Envoy: 5 s; istiod: 10 s from mesh config.
    pub connect_timeout: Duration,
    pub protocol: UpstreamProtocol,
    pub transport: Transport,
    /// Written before anything else on each connection; then connections are not shared between clients.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Endpoints that say `tlsMode: istio` expect the mutual TLS of sidecars, which we do not speak: they are left out.
    pub legacy_mutual_tls: bool,
    pub breakers: CircuitBreakers,
    pub outlier: Option<Arc<OutlierDetection>>,
    pub pool: PoolSettings,
    /// `metadata.filter_metadata.istio.services[0]`, for telemetry.
    pub service: Option<Arc<ServiceRef>>,
    /// DestinationRule that shaped it, for `explain`.
    pub istio_config: Option<Arc<str>>,
    /// Something in this cluster cannot be honoured: requests routed to it are refused.
    pub refusal: Option<Refusal>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRef {
    pub host: Arc<str>,
    pub name: Arc<str>,
    pub namespace: Arc<str>,
}

#[derive(Clone, Debug)]
pub enum Discovery {
    /// Assignment of this name arrives by EDS.
    Eds {
        service_name: Arc<str>,
    },
    Static(Arc<Assignment>),
    /// Names in the assignment are resolved; all addresses are endpoints.
    StrictDns(Arc<DnsDiscovery>),
    /// One address of the name at a time.
    LogicalDns(Arc<DnsDiscovery>),
    /// The host of the request, or the SNI of the connection, is resolved (`envoy.clusters.dynamic_forward_proxy`).
    DynamicForwardProxy(DnsSettings),
    /// Where the tunnel wanted to go.
    OriginalDst,
    /// `encap`: the CONNECT target itself, over HBONE (requests addressed to a pod).
    DirectPod,
}

#[derive(Clone, Debug)]
pub struct Balancing {
    pub policy: BalancePolicy,
    /// Percent of healthy hosts below which health is ignored; istiod sends 0 (off) unless outlier detection is on.
    pub panic_threshold_percent: f64,
    /// Weigh localities by their `weight` instead of by endpoint.
    pub locality_weighted: bool,
    /// Percent; Envoy: 140.
    pub overprovisioning_factor: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub enum BalancePolicy {
    RoundRobin { slow_start: Option<SlowStart> },
    LeastRequest { choices: u32, slow_start: Option<SlowStart> },
    Random,
    RingHash { minimum_size: u64, maximum_size: u64 },
    Maglev { table_size: u64 },
    ClusterProvided,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SlowStart {
    pub window: Duration,
    pub aggression: f64,
    pub min_weight_percent: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    Http1,
    Http2,
    /// As the client spoke (`use_downstream_protocol_config`).
    Downstream,
}

#[derive(Clone, Debug)]
pub enum Transport {
    /// Each endpoint says itself: HBONE or plain TCP (`internal_upstream` over `raw_buffer`, or plain `raw_buffer`).
    ByEndpoint,
    Tls(Arc<TlsOrigination>),
}

/// The PROXY protocol header: who the client is and where it wanted to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    V1,
    V2,
}

/// `u32::MAX` means unlimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitBreakers {
    pub max_connections: u32,
    pub max_pending_requests: u32,
    pub max_requests: u32,
    pub max_retries: u32,
    /// Retries allowed: this percentage of active requests, at least `min_concurrency`.
    pub retry_budget: Option<RetryBudget>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    pub percent: u32,
    pub min_concurrency: u32,
}

impl Default for CircuitBreakers {
    /// Envoy: 1024 each and 3 retries.
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            retry_budget: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierDetection {
    pub consecutive_5xx: Option<u32>,
    pub consecutive_gateway_failure: Option<u32>,
    pub consecutive_local_origin_failure: Option<u32>,
    pub split_external_local_origin_errors: bool,
    pub interval: Duration,
    pub base_ejection_time: Duration,
    pub max_ejection_time: Duration,
    pub max_ejection_percent: u32,
    /// One may go whatever the percentage says.
    pub always_eject_one: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolSettings {
    /// Idle inner connections are closed after this; `None` uses the proxy's default.
    pub idle_timeout: Option<Duration>,
    pub max_requests_per_connection: Option<u32>,
    /// A connection as old as this gets no further request.
    pub max_connection_duration: Option<Duration>,
    pub http2: Http2Settings,
    pub tcp_keepalive: Option<TcpKeepalive>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Http2Settings {
    /// Requests at a time on one connection; then another one is opened.
    pub max_concurrent_streams: Option<u32>,
    pub keepalive: Option<Http2Keepalive>,
}

/// PINGs on a connection in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Keepalive {
    pub interval: Duration,
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpKeepalive {
    pub probes: Option<u32>,
    pub time: Option<Duration>,
    pub interval: Option<Duration>,
}
