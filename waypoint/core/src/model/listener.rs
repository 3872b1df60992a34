//! The two listeners that matter: `connect_terminate` (who may open a tunnel) and `main_internal` (where it leads).
//!
//! `connect_originate` and its inner/outer kin describe hops inside Envoy; our connector does that work, so they
//! are checked by `translate` and not kept. Spec: waypoint listeners of istiod, `envoy.config.listener.v3.Listener`.

use super::Refusal;
use super::access_log::AccessLog;
use super::ext_authz::ExtAuthz;
use super::http_chain::HttpChain;
use super::rate_limit::LocalRateLimit;
use super::rbac::Rbac;
use super::route::ClusterName;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What every CONNECT is held to before a chain is looked up.
#[derive(Clone, Debug, Default)]
pub struct ConnectTerminate {
    pub stat_prefix: Arc<str>,
    /// Accepted prefixes of the client's URI SAN, e.g. `spiffe://cluster.local/`; empty accepts any mesh identity.
    pub accepted_san_prefixes: Vec<Arc<str>>,
    /// Layered L4 policies of the waypoint itself and limits on tunnels, in order.
    pub filters: Vec<ConnectFilter>,
    /// Set when the listener carries something that cannot be honoured: every CONNECT is refused with it.
    pub refusal: Option<Refusal>,
    pub access_logs: Vec<Arc<AccessLog>>,
}

#[derive(Clone, Debug)]
pub enum ConnectFilter {
    Rbac(Arc<Rbac>),
    LocalRateLimit(Arc<LocalRateLimit>),
}

/// The tunnel's inside: which chain serves a target.
#[derive(Clone, Debug, Default)]
pub struct MainInternal {
    pub matcher: Option<ChainMatcher>,
    pub chains: HashMap<Arc<str>, Arc<FilterChain>>,
    pub inspectors: Inspectors,
    /// Listener-level access logs: connections no chain matched (flag NR).
    pub access_logs: Vec<Arc<AccessLog>>,
}

/// Where `http_inspector` and `tls_inspector` run: by destination port.
#[derive(Clone, Debug, Default)]
pub struct Inspectors {
    pub http: Option<InspectedPorts>,
    pub tls: Option<InspectedPorts>,
}

/// All ports but these half-open ranges `[start, end)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InspectedPorts {
    pub disabled: Vec<(u32, u32)>,
}

impl InspectedPorts {
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        !self.disabled.iter().any(|(start, end)| (*start..*end).contains(&u32::from(port)))
    }
}

/// One node of the filter chain matcher tree.
#[derive(Clone, Debug)]
pub enum ChainMatcher {
    /// A leaf: the name of a chain.
    Chain(Arc<str>),
    DestinationIp(Box<IpTable>),
    DestinationPort {
        ports: HashMap<u16, Self>,
        on_no_match: Option<Box<Self>>,
    },
    ApplicationProtocol {
        protocols: Vec<(ApplicationProtocol, Self)>,
        on_no_match: Option<Box<Self>>,
    },
    /// Multi-network: the CONNECT authority as text, `host:port`.
    ConnectAuthority {
        authorities: HashMap<Box<str>, Self>,
        on_no_match: Option<Box<Self>>,
    },
}

/// Longest prefix wins; equal prefixes: the first configured.
#[derive(Clone, Debug, Default)]
pub struct IpTable {
    /// Full-length prefixes, nearly all of them: one look-up however many services there are.
    pub hosts: HashMap<IpAddr, Arc<ChainMatcher>>,
    /// The others, longest first.
    pub prefixes: Vec<(IpNet, Arc<ChainMatcher>)>,
    pub on_no_match: Option<ChainMatcher>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApplicationProtocol {
    Http10,
    Http11,
    H2c,
    Tls,
}

#[derive(Clone, Debug)]
pub struct FilterChain {
    pub name: Arc<str>,
    /// Of the serialized chain: equal hashes mean the same configuration, so runtime state and `Arc`s carry over.
    pub content_hash: u64,
    /// ECDS resources it asks for, as far as they were looked at.
    pub extensions: Vec<Arc<str>>,
    pub body: ChainBody,
}

#[derive(Clone, Debug)]
pub enum ChainBody {
    Http(Arc<HttpChain>),
    Tcp(Arc<TcpChain>),
    Refused(Refusal),
}

impl ChainBody {
    /// Why everything is refused, if it is.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Http(chain) => chain.refusal.as_ref(),
            Self::Tcp(_) => None,
            Self::Refused(refusal) => Some(refusal),
        }
    }
}

#[derive(Clone, Debug)]
pub struct TcpChain {
    pub stat_prefix: Arc<str>,
    /// In istiod's order: CUSTOM, then LOG, DENY, ALLOW.
    pub filters: Vec<NetworkFilter>,
    pub clusters: TcpClusters,
    pub idle_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    /// `tcp_proxy.hash_policy: source_ip`.
    pub hash_source_ip: bool,
    pub access_logs: Vec<Arc<AccessLog>>,
    /// `istio.stats` present: TCP metrics wanted; `None` when the mesh has no metrics provider.
    pub stats: Option<super::http_chain::StatsFilter>,
    /// `sni_dynamic_forward_proxy`: the name a TLS client asks for is resolved, and dialled at this port.
    pub sni_port: Option<u16>,
}

/// What decides about a raw connection before its endpoint is dialled.
#[derive(Clone, Debug)]
pub enum NetworkFilter {
    Rbac(Arc<Rbac>),
    ExtAuthz(Arc<ExtAuthz>),
}

#[derive(Clone, Debug)]
pub enum TcpClusters {
    Single(ClusterName),
    /// Weights sum to `total` > 0.
    Weighted {
        clusters: Vec<(ClusterName, u32)>,
        total: u32,
    },
}
