//! What a limit counts a request by: actions, each of which adds an entry to a descriptor.
//! Envoy: `config.route.v3.RateLimit`.

use super::matcher::{HeaderKey, HeaderMatcher, QueryMatcher};
use ipnet::IpNet;
use std::sync::Arc;

/// What makes one descriptor, or none when one of its actions has nothing to add.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// Counts for filters of the same stage.
    pub stage: u32,
    /// A runtime key could switch it off. There is no runtime: global limits have it on, local ones leave it out.
    pub has_disable_key: bool,
    pub actions: Vec<Action>,
    /// Instead of the limit the service is configured with.
    pub limit: Option<LimitOverride>,
    /// What a request counts for; `None`: as the filter or the service has it, once.
    pub hits: Option<u64>,
    pub told: Told,
}

#[derive(Clone, Debug)]
pub enum Action {
    SourceCluster,
    DestinationCluster,
    RequestHeader {
        header: HeaderKey,
        key: Arc<str>,
        skip_if_absent: bool,
    },
    QueryParameter {
        name: Box<str>,
        key: Arc<str>,
        skip_if_absent: bool,
    },
    RemoteAddress,
    MaskedRemoteAddress {
        v4: u8,
        v6: u8,
    },
    RemoteAddressMatch {
        entry: FixedEntry,
        ranges: Vec<IpNet>,
        invert: bool,
    },
    GenericKey(FixedEntry),
    HeaderMatch {
        entry: FixedEntry,
        headers: Vec<HeaderMatcher>,
        expect: bool,
    },
    QueryMatch {
        entry: FixedEntry,
        parameters: Vec<QueryMatcher>,
        expect: bool,
    },
    /// Dynamic metadata, e.g. a claim of a token.
    Metadata {
        key: Arc<str>,
        source: MetadataKey,
        default: Option<Arc<str>>,
        skip_if_absent: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedEntry {
    pub key: Arc<str>,
    pub value: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataKey {
    pub filter: Arc<str>,
    pub path: Box<[Box<str>]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitOverride {
    Fixed(RateOverride),
    Metadata(MetadataKey),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateOverride {
    pub requests: u32,
    pub unit: Unit,
}

/// Envoy: `type.v3.RateLimitUnit`, and `WEEK` of the service's own enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Unknown,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// Whether clients are told how much is left (`x-ratelimit-*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    #[default]
    AsFilter,
    Never,
    Always,
}

/// Whether the virtual host's entries count beside the route's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VirtualHostLimits {
    /// Only where the route has none.
    #[default]
    Override,
    Include,
    Ignore,
}
