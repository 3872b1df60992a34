//! Every bound of the decision layers, with its reason and Envoy's or Istio's default.

use std::time::Duration;

/// Resources of one type a waypoint keeps. Envoy: unlimited; istiod's largest known meshes have some 100 000 workloads.
pub const RESOURCES_MAX: usize = 1_000_000;

/// Bytes of one compiled regular expression. Envoy: RE2 program size 100 (warn) / unlimited; `regex` counts bytes.
pub const REGEX_SIZE_BYTES_MAX: usize = 1 << 20;

/// Nesting of matcher trees, RBAC rules and the like. Istio's own output nests below 10.
pub const NESTING_MAX: usize = 64;

/// Body of a direct response. Envoy: `max_direct_response_body_size_bytes`, 4096 by default, 1 MiB as istiod sets it.
pub const DIRECT_RESPONSE_BODY_BYTES_MAX: usize = 1 << 20;

/// Request body that may be kept for an authorization service; a filter that asks for more refuses its chain.
/// Envoy: whatever `max_request_bytes` says.
pub const AUTHZ_BODY_BYTES_MAX: usize = 16 << 20;

/// Retries of one request, whatever the policy says. Envoy: unlimited; more only multiplies an outage.
pub const RETRIES_MAX: u32 = 100;

/// First back-off between retries when the policy has none. Envoy: 25 ms, jittered over `[0, base * 2^n)`.
pub const RETRY_BACK_OFF_BASE: Duration = Duration::from_millis(25);

/// Ceiling of the back-off as a multiple of its base. Envoy: 10 times the base interval.
pub const RETRY_BACK_OFF_MAX_FACTOR: u32 = 10;

/// Retries, beyond any policy, of attempts that reached no application. Envoy: none of its own; istiod's default policy
/// grants two. More would walk through a dead service endpoint by endpoint.
pub const UNREACHED_RETRIES_MAX: u32 = 2;

/// Entries of one hash ring. Envoy: `maximum_ring_size`, 8 Mi by default; a ring of that size takes 128 MiB and a second to
/// sort, and the share of an endpoint is within 1 % long before.
pub const RING_ENTRIES_MAX: u64 = 1 << 20;

/// Slots of a Maglev table. Envoy: 5 000 011, 65 537 by default.
pub const MAGLEV_SLOTS_MAX: u64 = 5_000_011;

/// Picks a retry makes to find an endpoint not tried yet, when the policy names no number. Envoy: 1; istiod: 5.
pub const HOST_SELECTION_ATTEMPTS: u32 = 5;

/// Series of all `istio_*` metrics together; what comes after is counted as `unknown`. Envoy: unlimited; a scrape of this
/// many is some 50 MB of text.
pub const METRIC_SERIES_MAX: usize = 100_000;

/// Label combinations whose handles a worker keeps resolved; a full cache is emptied and fills again with what is in use.
pub const METRIC_CACHE_MAX: usize = 8192;
