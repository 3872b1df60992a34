//! The metrics of the process, under ztunnel's names.
//!
//! `received` counts client to server and `sent` server to client, for both reporters (istio#32399).
//! Differs from ztunnel: connections refused before they had an upstream count as failed too.

use crate::telemetry::{Reporter, TrafficLabels};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;

type Labels<const N: usize> = [(&'static str, String); N];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DnsLabels {
    pub request_query_type: &'static str,
    pub request_protocol: &'static str,
    pub source_canonical_service: String,
    pub source_canonical_revision: String,
}

/// How an xDS stream ended.
#[derive(Clone, Copy, Debug)]
pub enum Termination {
    ConnectionError,
    Error,
    Reconnect,
    Complete,
}

/// Handles are cheap to clone; a connection resolves its own once.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub opened: Family<TrafficLabels, Counter>,
    pub closed: Family<TrafficLabels, Counter>,
    pub failed: Family<TrafficLabels, Counter>,
    pub received: Family<TrafficLabels, Counter>,
    pub sent: Family<TrafficLabels, Counter>,
    sockets: Family<Labels<1>, Gauge>,
    pub on_demand_dns: Counter,
    pub dns_requests: Family<DnsLabels, Counter>,
    pub dns_upstream_requests: Counter,
    pub dns_upstream_failures: Counter,
    pub proxies_active: Gauge,
    pub proxies_pending: Gauge,
    pub proxies_started: Counter,
    pub proxies_stopped: Counter,
    xds_terminations: Family<Labels<1>, Counter>,
    xds_messages: Family<Labels<1>, Counter>,
    xds_bytes: Family<Labels<1>, Counter>,
    open_fds: Gauge,
    max_fds: Gauge,
}

impl Metrics {
    /// `tag`: the Istio version this build reports.
    #[must_use]
    pub fn new(tag: &str) -> Arc<Self> {
        let mut registry = Registry::default();
        let build = Family::<Labels<2>, Gauge>::default();
        build.get_or_create(&[("component", "ztunnel".into()), ("tag", tag.to_owned())]).set(1);
        registry.register("istio_build", "Istio component build info", build);
        let metrics = Self {
            opened: Family::default(),
            closed: Family::default(),
            failed: Family::default(),
            received: Family::default(),
            sent: Family::default(),
            sockets: Family::default(),
            on_demand_dns: Counter::default(),
            dns_requests: Family::default(),
            dns_upstream_requests: Counter::default(),
            dns_upstream_failures: Counter::default(),
            proxies_active: Gauge::default(),
            proxies_pending: Gauge::default(),
            proxies_started: Counter::default(),
            proxies_stopped: Counter::default(),
            xds_terminations: Family::default(),
            xds_messages: Family::default(),
            xds_bytes: Family::default(),
            open_fds: Gauge::default(),
            max_fds: Gauge::default(),
            registry: Registry::default(),
        };
        metrics.register_traffic(&mut registry);
        metrics.register_process(&mut registry);
        Arc::new(Self { registry, ..metrics })
    }

    fn register_traffic(&self, registry: &mut Registry) {
        let mut traffic = |name: &str, help: &str, family: &Family<TrafficLabels, Counter>| {
            registry.register(format!("istio_tcp_{name}"), help, family.clone());
        };
        traffic("connections_opened", "The total number of TCP connections opened", &self.opened);
        traffic("connections_closed", "The total number of TCP connections closed", &self.closed);
        traffic(
            "received_bytes",
            "Bytes received during request in case of a TCP connection",
            &self.received,
        );
        traffic("sent_bytes", "Bytes sent during response in case of a TCP connection", &self.sent);
        traffic("connections_failed", "TCP connections that failed to establish (unstable)", &self.failed);
        registry.register(
            "istio_tcp_sockets_open",
            "The current number of open TCP sockets (unstable)",
            self.sockets.clone(),
        );
        registry.register(
            "istio_on_demand_dns",
            "Host names of workloads resolved on use (unstable)",
            self.on_demand_dns.clone(),
        );
        registry.register("istio_dns_requests", "DNS requests (unstable)", self.dns_requests.clone());
        registry.register(
            "istio_dns_upstream_requests",
            "DNS requests forwarded to upstream (unstable)",
            self.dns_upstream_requests.clone(),
        );
        registry.register(
            "istio_dns_upstream_failures",
            "DNS requests upstream did not answer (unstable)",
            self.dns_upstream_failures.clone(),
        );
    }

    fn register_process(&self, registry: &mut Registry) {
        let gauges = [
            (
                "workload_manager_active_proxy_count",
                "Workloads with active proxies (unstable)",
                &self.proxies_active,
            ),
            (
                "workload_manager_pending_proxy_count",
                "Workloads whose proxy could not start (unstable)",
                &self.proxies_pending,
            ),
            ("process_open_fds", "Number of open file descriptors", &self.open_fds),
            ("process_max_fds", "Maximum number of file descriptors", &self.max_fds),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        let counters = [
            ("workload_manager_proxies_started", "Proxies started (unstable)", &self.proxies_started),
            ("workload_manager_proxies_stopped", "Proxies stopped (unstable)", &self.proxies_stopped),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let families = [
            (
                "istio_xds_connection_terminations",
                "xDS streams that ended (unstable)",
                &self.xds_terminations,
            ),
            ("istio_xds_message", "xDS messages received (unstable)", &self.xds_messages),
            ("istio_xds_message_bytes", "xDS bytes received (unstable)", &self.xds_bytes),
        ];
        for (name, help, family) in families {
            registry.register(name, help, family.clone());
        }
    }

    #[must_use]
    pub fn sockets_open(&self, reporter: Reporter) -> Gauge {
        self.sockets.get_or_create_owned(&[("reporter", reporter.as_str().to_owned())])
    }

    pub fn xds_message(&self, url: &str, bytes: usize) {
        let labels = [("url", url.to_owned())];
        self.xds_messages.get_or_create(&labels).inc();
        self.xds_bytes.get_or_create(&labels).inc_by(bytes as u64);
    }

    /// Takes over a count kept elsewhere.
    pub fn xds_terminated(&self, reason: Termination, total: u64) {
        let counter = self.xds_terminations.get_or_create_owned(&[("reason", format!("{reason:?}"))]);
        counter.inc_by(total.saturating_sub(counter.get()));
    }

    pub fn descriptors(&self, open: i64, max: i64) {
        self.open_fds.set(open);
        self.max_fds.set(max);
    }

    /// All metrics in OpenMetrics text, which Prometheus's own text format reads as well.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        if let Err(error) = text::encode(&mut out, &self.registry) {
            tracing::error!(%error, "metrics do not encode");
        }
        out
    }
}
