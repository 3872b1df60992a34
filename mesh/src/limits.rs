//! Every bound of this package, with its reason and what Envoy or Istio's ztunnel use.

use std::time::Duration;

// --- HBONE: HTTP/2 ---

/// Flow-control window of one CONNECT stream. ztunnel: 4 MiB (`HTTP2_STREAM_WINDOW_SIZE`). One stream must fill a
/// 10 Gb/s link over a few ms of round trip; it is also what one slow reader may hold in memory.
pub const HBONE_STREAM_WINDOW: u32 = 4 << 20;

/// Window of a whole connection. ztunnel: 16 MiB. Four times a stream's, so that one blocked stream cannot stop its neighbours.
pub const HBONE_CONNECTION_WINDOW: u32 = 16 << 20;

/// SETTINGS_MAX_FRAME_SIZE. ztunnel: 1 MiB; Envoy: 16 KiB. A ztunnel peer sends DATA frames this long.
pub const HBONE_MAX_FRAME: u32 = 1 << 20;

/// Concurrent streams a server lets one peer open. ztunnel: 200; istiod gives a waypoint's listener 100, which its
/// configuration carries. A ztunnel peer opens at most 100 on each connection.
pub const HBONE_SERVER_STREAMS: u32 = 200;

/// Streams a client puts on one connection before it dials another. ztunnel: 100 (`POOL_MAX_STREAMS_PER_CONNECTION`).
pub const HBONE_CLIENT_STREAMS: usize = 100;

/// Header list a server accepts with a CONNECT. ztunnel: 64 KiB; Envoy: 60 KiB.
pub const HBONE_SERVER_HEADER_LIST: u32 = 64 << 10;

/// Header list a client accepts with the answer. ztunnel: 16 KiB.
pub const HBONE_CLIENT_HEADER_LIST: u32 = 16 << 10;

/// Bytes one stream may have queued inside h2 beyond what the peer's window took. ztunnel: 400 KiB server, 4 MiB client.
/// Queued bytes are memory of a slow reader's sender, so this is kept near what one TLS burst can use.
pub const HBONE_SEND_BUFFER: usize = 256 << 10;

/// Bytes a `TunnelStream` gathers before it makes a DATA frame of them: one TLS record's worth.
pub const TUNNEL_WRITE_BUFFER: usize = 16 << 10;

/// Bytes the deferred-flush wrapper gathers before it writes through in the middle of a poll: four TLS records.
pub const DEFERRED_FLUSH_BUFFER: usize = 64 << 10;

/// Streams a peer may have reset while we still hold them (CVE-2023-44487, rapid reset). h2's default is 20 pending accepts;
/// ztunnel keeps h2's default.
pub const HBONE_PENDING_RESET_STREAMS: usize = 20;

/// PING interval and the wait for its answer, both ends. ztunnel: 10 s and 20 s. A peer whose node vanished sends no FIN.
pub const HBONE_PING_INTERVAL: Duration = Duration::from_secs(10);
/// See [`HBONE_PING_INTERVAL`].
pub const HBONE_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// A pooled connection without streams closes after this. ztunnel: 5 min. Short, because an idle connection is the way a
/// reused pod IP is reached with another pod's expectations.
pub const HBONE_IDLE: Duration = Duration::from_secs(15);

// --- dialling and handshakes ---

/// TCP connect towards another proxy. Istio's mesh config and ztunnel: 10 s.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// TLS and HTTP/2 handshake, each, either side. ztunnel: none; Envoy: none, but 15 s on Istio's gateways.
/// A peer that says nothing must not hold a task for ever.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Wait for the answer to a CONNECT. The peer dials its application for up to [`DIAL_TIMEOUT`] before it answers.
pub const CONNECT_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

// --- identity ---

/// Validity asked for. Istio: 24 h (`SECRET_TTL`).
pub const CERTIFICATE_TTL: Duration = Duration::from_secs(24 * 3600);

/// First wait after a failed certificate request. ztunnel: 0.5-1 s.
pub const CSR_BACKOFF_MIN: Duration = Duration::from_millis(500);

/// Longest wait between certificate requests. ztunnel: 150 s.
pub const CSR_BACKOFF_MAX: Duration = Duration::from_secs(150);

/// Certificate requests in flight at once. ztunnel: 8. A node with hundreds of pods must not flood istiod when it starts.
pub const CSR_CONCURRENCY: usize = 8;

/// One certificate request. Istio's agent sets none; a CA that hangs must not hold one of the few permits for ever.
pub const CSR_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the revocation list file is looked at. A list is small, and kubelet takes about a minute to bring a new one.
pub const CRL_POLL: Duration = Duration::from_secs(5);

/// How often a wait for a date looks at the clock: timers stand still while a machine sleeps, certificates do not.
pub const CLOCK_CHECK: Duration = Duration::from_secs(60);

/// Certificates in one CA answer. Chains are two to four long; root bundles hold a handful during a root rotation.
pub const CA_CHAIN_CERTIFICATES: usize = 64;

/// Client configurations one identity caches (one per distinct expectation). A pod that talks to more peers than this
/// pays for a rebuild (tens of µs), not for memory.
pub const CLIENT_CONFIGS_PER_IDENTITY: usize = 1024;

// --- the channel to istiod ---

/// Connect to istiod, TLS included. Istio's agent: gRPC's 20 s. Failing earlier lets the backoff try another address.
pub const CONTROL_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// HTTP/2 keepalive towards istiod. Istio: 30 s interval, 10 s timeout (`pkg/keepalive`).
pub const CONTROL_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// See [`CONTROL_KEEPALIVE_INTERVAL`].
pub const CONTROL_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest gRPC message from istiod we decode on the CA service. xDS sets its own.
pub const CA_MESSAGE: usize = 1 << 20;

/// Root and token files larger than this are refused: a mount gone wrong must not be read into memory.
pub const CREDENTIAL_FILE: u64 = 4 << 20;

// --- surfaces ---

/// Body of an admin request. They carry at most a log level.
pub const ADMIN_BODY: usize = 64 << 10;

/// Time an admin client has to send its request head.
pub const ADMIN_HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Admin connections at once: an operator, a scraper or two, probes.
pub const ADMIN_CONNECTIONS: usize = 64;

/// Pause after a failed accept, which is most often a lack of file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Log lines waiting for the writer thread. ztunnel: 10 000, blocking when full, so that no line is lost.
pub const LOG_QUEUE: usize = 10_000;

/// Lines the writer joins into one write. ztunnel: 64.
pub const LOG_BATCH: usize = 64;

/// Accept backlog. ztunnel: 128; Envoy: 128. Connections of a whole node arrive at once when a node proxy restarts.
pub const LISTEN_BACKLOG: i32 = 1024;
