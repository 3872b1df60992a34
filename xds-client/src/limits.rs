//! Every bound of the xDS client, with its reason.

use std::time::Duration;

/// One response. Envoy's agent: 2 GiB; ztunnel: 200 MiB. LDS of a few hundred services passes gRPC's default of 4 MiB.
pub const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Request bytes of `initial_resource_versions`; above it the stream starts afresh.
/// istiod receives at most 4 MiB in one message: 40 000 workloads would pass that and never reconnect.
pub const RESUME_BYTES_MAX: usize = 3 << 20;

/// First wait after a failed stream. ztunnel: 10 ms.
pub const BACKOFF_MIN: Duration = Duration::from_millis(10);

/// Longest wait. ztunnel: 15 s; Envoy: 30 s.
pub const BACKOFF_MAX: Duration = Duration::from_secs(15);

/// Requests queued towards the server; each type has at most an ACK and a subscription change under way.
pub const REQUESTS_QUEUED_MAX: usize = 64;

/// Characters of `error_detail` in one NACK: gRPC metadata and istiod's log lines are no place for more.
pub const NACK_TEXT_MAX: usize = 8 << 10;
