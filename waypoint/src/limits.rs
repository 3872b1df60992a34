//! Every bound of the proxy's IO, with its reason and Envoy's or Istio's default.
//! The bounds of tunnels themselves are `mesh::limits`, those of decisions `waypoint_core::limits`.

use std::time::Duration;

/// A client that opened a tunnel of undeclared protocol gets this long to show it; then the server may speak first.
/// Envoy: `listener_filters_timeout`, 15 s, then a reset. Shorter, because a server-first client waits all of it.
pub const SNIFF_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes looked at to tell HTTP from anything else. Envoy: the HTTP inspector stops at 64 KiB; a request line whose
/// method is no token is recognised much earlier.
pub const SNIFF_BYTES: usize = 8 << 10;

/// A request head must be complete this long after its first byte. Envoy: `request_headers_timeout`, off; a slow head
/// holds no worker, but it does hold a tunnel stream.
pub const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// An inner connection without any request is closed after this when the chain sets nothing. Envoy: 1 h.
pub const DOWNSTREAM_IDLE: Duration = Duration::from_secs(3600);

/// How long a request waits for the first endpoints of a cluster that is still being discovered.
/// Envoy: a listener is not used before its clusters are warm; `initial_fetch_timeout` 15 s, istiod answers within one push.
pub const WARMING_TIMEOUT: Duration = Duration::from_secs(5);

/// Request body kept for a retry. Envoy: `per_connection_buffer_limit_bytes`, 1 MiB; a longer body is sent once only.
pub const RETRY_BODY_BYTES: usize = 1 << 20;

/// Answer of an authorization service, its body included; a longer one is an error of the service.
/// gRPC: 4 MiB. Envoy: unlimited.
pub const AUTHZ_ANSWER_BYTES: usize = 4 << 20;

/// Answer of a rate limit service, its body included; a longer one is an error of the service. gRPC: 4 MiB.
pub const RATE_LIMIT_ANSWER_BYTES: usize = 4 << 20;

/// Chunks of a request body that may wait for a mirror that is slower than the request; then the mirror is given up.
/// Envoy: mirrors share the buffer limit of the request.
pub const MIRROR_CHUNKS: usize = 64;

/// Mirrored requests in flight of one worker. Envoy: bounded by the cluster's circuit breakers only.
pub const MIRRORS_MAX: usize = 1024;

/// A mirrored request ends after this. Envoy: the route's timeout, else never.
pub const MIRROR_TIMEOUT: Duration = Duration::from_secs(60);

/// Idle inner connections kept for one endpoint of one worker. Envoy: unlimited; more than this never pays.
pub const IDLE_PER_ENDPOINT: usize = 256;

/// Idle inner connections are closed after this unless the cluster says otherwise. Envoy: 1 h.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(3600);

/// How often idle inner connections are looked through.
pub const IDLE_SWEEP: Duration = Duration::from_secs(5);

/// Head of an HTTP/1 response; more is 502. Envoy: 80 KiB, which applications behind it have come to rely on.
pub const RESPONSE_HEAD_BYTES: usize = 80 << 10;

/// Interim responses (1xx) of one attempt that are passed on; an application announces its links once and says now and
/// then that it is at work. Envoy: unlimited.
pub const INTERIMS: usize = 100;

/// Those of them that may wait for a slow client; more are left out. Envoy: unlimited.
pub const INTERIMS_WAITING: usize = 8;

/// Header list of an HTTP/2 response; more is 502. Envoy: 60 KiB.
pub const RESPONSE_LIST_BYTES: u32 = 60 << 10;

/// Fields of a response head. Envoy: 100.
pub const RESPONSE_HEAD_FIELDS: usize = 100;

/// Streams a client may have open on one inner HTTP/2 connection. Envoy: 1024 since 1.36.
pub const DOWNSTREAM_STREAMS: u32 = 1024;

/// Receive windows of inner HTTP/2, stream and connection. Envoy: 16 MiB and 24 MiB as Istio sets them; the tunnel
/// under it has its own window, so these only bound what one slow request may hold.
pub const INNER_STREAM_WINDOW: u32 = 1 << 20;
pub const INNER_CONNECTION_WINDOW: u32 = 4 << 20;

/// Response bytes of one inner HTTP/2 stream that wait for the client's window.
pub const DOWNSTREAM_SEND_BUFFER: usize = 64 << 10;

/// Bytes of one response that wait for a slow HTTP/1 client. Envoy: `per_connection_buffer_limit_bytes`, 1 MiB.
pub const DOWNSTREAM_WRITE_BUFFER: usize = 64 << 10;

/// Copy buffer of a raw connection, each way. Envoy: 64 KiB as the waypoint's bootstrap sets for internal listeners.
pub const COPY_BUFFER: usize = 64 << 10;

/// A raw connection without any byte for this long is closed unless the chain says otherwise. Envoy: 1 h.
pub const TCP_IDLE: Duration = Duration::from_secs(3600);

/// TCP metrics of open connections are written this often unless configured. Istio: 5 s.
pub const TCP_REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// The next address of a host is tried when the one before has not answered by then. Envoy: 300 ms; RFC 8305: 250 ms.
pub const NEXT_ADDRESS: Duration = Duration::from_millis(300);

/// Names are not asked for more often than this, whatever their time to live. Envoy: 5 s (dynamic forward proxy), 1 s.
pub const DNS_REFRESH_MIN: Duration = Duration::from_secs(1);

/// Names are asked for at least this often, whatever their time to live.
pub const DNS_REFRESH_MAX: Duration = Duration::from_secs(3600);

/// Names clients made a dynamic forward proxy resolve that are kept at a time. Envoy: 1024.
pub const DYNAMIC_NAMES: usize = 1024;

/// Where those are too many: a name nobody has used for this long makes room. Envoy: `host_ttl`, 5 min.
pub const DYNAMIC_NAME_IDLE: Duration = Duration::from_secs(300);

/// How often files with certificates are looked at again. Istio's agent watches them.
pub const FILE_REFRESH: Duration = Duration::from_secs(10);

/// Spans of one worker that wait to be sent; the next ones are dropped. Envoy: 512 (OpenTelemetry), 5 per flush (Zipkin).
pub const SPANS_WAITING: usize = 2048;

/// Bytes of encoded log records of one worker that wait for services; the next ones are dropped and counted. Envoy: 32 MiB
/// of a stream that does not flow.
pub const LOGS_WAITING_BYTES: usize = 4 << 20;

/// Records of one message; gRPC servers take 4 MiB unless told otherwise.
pub const LOG_MESSAGE_BYTES: usize = 1 << 20;

/// How often spans and log records are sent. Envoy: 5 s for spans, 1 s for logs, or when enough have gathered.
pub const EXPORT_FLUSH: Duration = Duration::from_secs(1);

/// A collector must have taken a batch by then. Envoy: 5 s (Zipkin).
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a collector's answer; nobody reads it.
pub const EXPORT_ANSWER_BYTES: usize = 16 << 10;

/// What still waits for collectors when a drain is over is given this long. Envoy: what waits is lost.
pub const EXPORT_FAREWELL: Duration = Duration::from_secs(2);

/// TCP handshakes a non-mesh endpoint may take when the cluster says nothing. Envoy: 5 s.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An idle HTTP/1 connection is closed this long after a drain began: a request already on its way still gets through.
/// Envoy: closes with the next response only, so an idle one lasts until the exit.
pub const DRAIN_IDLE: Duration = Duration::from_secs(1);

/// Connections waiting to be handed to a worker; then the acceptor waits, and the kernel's backlog fills.
pub const HANDOFF_QUEUE: usize = 1024;

/// Between SIGTERM and exit when PROXY_CONFIG sets nothing. Istio: `terminationDrainDuration`, 5 s.
pub const TERMINATION_DRAIN: Duration = Duration::from_secs(5);

/// With `EXIT_ON_ZERO_ACTIVE_CONNECTIONS`: the least time to keep accepting after SIGTERM. Istio: 5 s.
pub const MINIMUM_DRAIN: Duration = Duration::from_secs(5);

/// With `EXIT_ON_ZERO_ACTIVE_CONNECTIONS`: the most, when the kubelet never comes. Istio: unlimited.
pub const DRAIN_CEILING: Duration = Duration::from_secs(3600);

/// Size of a file of the downward API (labels, annotations). Kubernetes bounds annotations to 256 KiB.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Keys that should be fetched again, and cannot be, still verify tokens for this long: an outage of the issuer is not
/// one of the mesh, but a key it withdrew must not live for ever. Envoy: expired keys are never used.
pub const JWKS_LAST_GOOD: Duration = Duration::from_secs(3600);
