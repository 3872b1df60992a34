//! Every bound of this package, with its reason and Kubernetes' or Istio's value beside it.

use std::time::Duration;

/// Pods on the one node; each takes two links, one namespace and a handful of mounts. kubelet: 110.
pub const PODS_MAX: usize = 110;

/// Last log lines kept in memory per container; all of them are in the file. kubelet: 10 MiB files, 5 of them.
pub const LOG_LINES_MAX: usize = 2000;
/// A longer line is cut into several. CRI: 16 KiB.
pub const LOG_LINE_BYTES_MAX: usize = 16 * 1024;
/// Log file size at which it is started anew. kubelet `containerLogMaxSize`: 10 MiB.
pub const LOG_FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// First wait before a container is started again; doubles. kubelet: 10 s, a developer is less patient.
pub const RESTART_WAIT_MIN: Duration = Duration::from_secs(1);
/// Longest wait before a container is started again. kubelet: 5 min.
pub const RESTART_WAIT_MAX: Duration = Duration::from_secs(30);
/// A container that ran this long begins again at the shortest wait. kubelet: 10 min.
pub const RESTART_FORGET: Duration = Duration::from_secs(60);
/// How often a container that is not ready is asked, whatever its probe's period: a start should not take 10 s because a
/// probe's period does. kubelet: the probe's period.
pub const PROBE_EAGER: Duration = Duration::from_millis(150);
/// Bytes of a probe's HTTP response head we read. kubelet: 10 KiB of the body.
pub const PROBE_RESPONSE_MAX: usize = 16 * 1024;
/// Time ztunnel gets to let go of a namespace between the pod's last process and the namespace's end.
pub const NETNS_LINGER: Duration = Duration::from_millis(200);

/// A ZDS packet, both ways. istio-cni and ztunnel: 1024.
pub const ZDS_PACKET_MAX: usize = 1024;
/// How long ztunnel may take to acknowledge. istio-cni `readWriteDeadline`: 5 s.
pub const ZDS_ACK_DEADLINE: Duration = Duration::from_secs(5);
/// New ZDS connections per second. istio-cni: 5.
pub const ZDS_ACCEPTS_PER_SECOND: u32 = 5;

/// Longest `capture`, so that a forgotten one ends.
pub const CAPTURE_MAX: Duration = Duration::from_secs(600);
/// Bytes taken of each packet; above any MTU a veth has by default with segmentation offload (64 KiB).
pub const CAPTURE_SNAP_BYTES: usize = 65_536;
/// Ports a capture counts apart from each other; the rest is counted together.
pub const CAPTURE_PORTS_MAX: usize = 1024;

/// A manifest file larger than this is refused. etcd refuses requests over 1.5 MiB; a file may hold many objects.
pub const MANIFEST_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Documents in one file. kubectl has no bound; the YAML parser's own, 1024, is below what `kubectl get -o yaml` can write.
pub const MANIFEST_DOCUMENTS_MAX: usize = 16 * 1024;
/// Life of a service account token whose volume names none. Kubernetes: 3600 s.
pub const TOKEN_LIFE_DEFAULT: Duration = Duration::from_secs(3600);

/// A line of istiod's; the other side's own bound.
pub const FEED_LINE_MAX: u64 = 64 << 20;
/// How long istiod may take from its start to its connection. It takes about a second.
pub const ISTIOD_CONNECT_DEADLINE: Duration = Duration::from_secs(60);
pub const ISTIOD_RESTART_WAIT: Duration = Duration::from_secs(1);

/// Largest UDP answer; longer ones are truncated and asked for over TCP. RFC 6891 recommends 4096 at most, 1232 for safety.
pub const DNS_UDP_BYTES: usize = 1232;
/// TCP conversations at a time; more are closed at once.
pub const DNS_TCP_MAX: usize = 256;
pub const DNS_TCP_IDLE: Duration = Duration::from_secs(10);

/// Connections through the ingress at a time; further ones wait in the kernel's queue.
pub const INGRESS_CONNECTIONS_MAX: usize = 1024;

/// A control request; a folder of manifests fits.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;
/// Control connections at a time.
pub const CONTROL_CONNECTIONS_MAX: usize = 64;
/// Between a pod's leaving the endpoints and its SIGTERM: istiod gathers changes for 100 ms (`PILOT_DEBOUNCE_AFTER`), and
/// ztunnel and the waypoints take theirs. Kubernetes waits for nobody; there users add a preStop sleep.
pub const ENDPOINTS_SETTLE: Duration = Duration::from_millis(700);
/// How long a captured pod waits for ztunnel before it is tried again.
pub const POD_RETRY: Duration = Duration::from_millis(500);
/// Between two questions to the proxies whether they have heard of what is ready.
pub const PROXY_ASK_AGAIN: Duration = Duration::from_millis(50);
/// For a proxy's answer to one.
pub const PROXY_DEADLINE: Duration = Duration::from_secs(2);
/// A ztunnel's dump of a full node is some 2 MiB.
pub const PROXY_ANSWER_MAX: usize = 64 << 20;
