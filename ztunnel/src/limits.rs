//! Every bound of the node proxy, with its reason and ztunnel's default beside it.

use std::time::Duration;

/// How long a connection waits until istiod has told us of its pod. istio-cni announces a pod before its WDS entry can
/// arrive, and an application that connects in its first second must not fail for it. ztunnel: 5 s; users of large
/// clusters hit that (istio#54889, istio#57674), so ours is longer; a connecting client gives up by itself much later.
pub const OWN_WORKLOAD_WAIT: Duration = Duration::from_secs(15);

/// How long a connection waits for a policy its workload names but that has not arrived. Addresses and policies are two
/// subscriptions; between them the set is incomplete. ztunnel: 0, it skips the policy and lets the connection through.
pub const POLICY_WAIT: Duration = Duration::from_secs(5);

/// TCP connect to an application or a plaintext destination. ztunnel: 10 s.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Endpoints tried for one connection before it fails. ztunnel: 1.
pub const CONNECT_ATTEMPTS: usize = 3;

/// After this much time no further endpoint is tried: the client should hear of the failure while it still listens.
pub const CONNECT_BUDGET: Duration = Duration::from_secs(15);

/// Copy buffer. Borrowed from a pool of the worker only while bytes are in it, so its size costs nothing per idle connection.
/// ztunnel: grows from 1 KiB to 256 KiB per connection and stays.
pub const COPY_BUFFER: usize = 64 << 10;

/// Copy buffers a worker keeps for reuse (4 MiB); above it they go back to the allocator.
pub const COPY_BUFFERS_KEPT: usize = 64;

/// Bytes moved in one direction before the other tasks of the worker get a turn.
pub const COPY_BURST: usize = 1 << 20;

/// Drain when neither `CONNECTION_TERMINATION_DEADLINE` nor the pod's grace period says otherwise. ztunnel: 5 s.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Accept queue of a pod's listener. ztunnel: 128, which overflows while a busy node starts.
pub const LISTEN_BACKLOG: i32 = 1024;

/// Pause after `accept` failed for lack of descriptors or memory; without it the loop would spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One ZDS packet; istio-cni uses the same bound.
pub const ZDS_PACKET: usize = 1024;

/// First and longest wait before ZDS is dialled again. ztunnel: 10 ms and 15 s.
pub const ZDS_BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(15));

/// Before a pod whose listeners could not be bound is tried again. ztunnel: 5 s.
pub const POD_RETRY: Duration = Duration::from_secs(5);

/// Jobs waiting for the thread that enters network namespaces; a full queue holds the asking tasks, not the memory.
pub const NETNS_JOBS: usize = 1024;

/// DNS answers made from the mesh's own state. ztunnel: 30 s.
pub const DNS_TTL: u32 = 30;

/// One try at one upstream name server. ztunnel (hickory's default): 5 s.
pub const DNS_UPSTREAM_TIMEOUT: Duration = Duration::from_secs(5);

/// Rounds over the upstream name servers. ztunnel: 2.
pub const DNS_UPSTREAM_ROUNDS: usize = 2;

/// Forwarded queries in flight per pod; above it a pod that floods gets SERVFAIL. ztunnel: 32 per name server connection.
pub const DNS_FORWARDS_IN_FLIGHT: usize = 256;

/// Largest answer sent by UDP without EDNS (RFC 1035).
pub const DNS_UDP_PLAIN: u16 = 512;

/// DNS connections (TCP) open per pod, and how long one may be silent.
pub const DNS_TCP_CONNECTIONS: usize = 64;
/// See [`DNS_TCP_CONNECTIONS`].
pub const DNS_TCP_IDLE: Duration = Duration::from_secs(10);

/// Candidate names tried for one query; five expansions times a handful of search domains.
pub const DNS_CANDIDATES: usize = 64;

/// Names of hostname-only workloads kept resolved. ztunnel: 4096.
pub const RESOLVED_NAMES: u64 = 4096;

/// Most worker threads; a node proxy that needs more than this has other problems.
pub const WORKERS_MAX: usize = 128;
