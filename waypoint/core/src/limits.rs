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

/// Buckets one wildcard descriptor may keep; a limit that asks for more refuses its unit. Envoy: whatever
/// `max_dynamic_descriptors` says, 20 by default. Each is some 200 bytes, however long the values.
pub const DYNAMIC_DESCRIPTORS_MAX: usize = 1 << 20;

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

/// Series of RBAC's counters; filters beyond are not counted. Envoy: unlimited; istiod makes some eight for every port.
pub const RBAC_SERIES_MAX: usize = 20_000;

/// Label combinations whose handles a worker keeps resolved; a full cache is emptied and fills again with what is in use.
pub const METRIC_CACHE_MAX: usize = 8192;

/// Bytes of one expression. Envoy: 100 000 characters; those people write fit in a line.
pub const EXPRESSION_BYTES_MAX: usize = 8 << 10;

/// Bytes of a metric's tag that is an expression's value; the rest is cut off. Envoy: unlimited, and a client may send
/// 60 KiB of headers.
pub const METRIC_TAG_BYTES_MAX: usize = 256;

/// Values of one tag that is an expression's; every further one is `unknown`. Envoy: unlimited; each value is a series for
/// every pair of workloads, and one who can choose it, as with a header, could fill the memory and every other series' place.
pub const METRIC_TAG_VALUES_MAX: usize = 1000;

/// Series with such tags; in further ones the tags are `unknown`. Envoy: unlimited; several tags multiply, and the other
/// half is for series that are nobody's choice.
pub const METRIC_TAGGED_SERIES_MAX: usize = METRIC_SERIES_MAX / 2;

/// Bytes of one token. Envoy: whatever fits into the request's head (60 KiB); its own cache stops at 4 KiB.
pub const JWT_BYTES_MAX: usize = 64 << 10;

/// Bytes of a key set. Envoy: unlimited; large identity providers publish some 20 keys in 20 KiB.
pub const JWKS_BYTES_MAX: usize = 1 << 20;

/// Keys of one set; those beyond are not used. Envoy: unlimited. A token without key id is tried against all of them.
pub const JWKS_KEYS_MAX: usize = 100;

/// Tolerance for `exp` and `nbf` when the provider names none. Envoy: 60 s.
pub const JWT_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Fetched keys are fetched again after this when the provider names nothing. Envoy: 10 minutes; istiod: 5.
pub const JWKS_CACHE_DURATION: Duration = Duration::from_secs(600);

/// One attempt to fetch keys when the provider names nothing. Envoy requires a value; istiod: 5 s.
pub const JWKS_TIMEOUT: Duration = Duration::from_secs(5);

/// After a failed fetch, when the provider names nothing. Envoy: 1 s.
pub const JWKS_REFETCH_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// First pause between the retries of a fetch, when its policy names none. Envoy: 1 s, at most ten times that.
pub const JWKS_BACK_OFF_BASE: Duration = Duration::from_secs(1);

/// Retries of one fetch, whatever its policy says. Envoy: unlimited; the next fetch comes anyway.
pub const JWKS_RETRIES_MAX: u32 = 10;
