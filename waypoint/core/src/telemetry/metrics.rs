//! `istio_*` metrics of a waypoint. Envoy: the filter `istio.stats` with `reporter: SERVER_GATEWAY`. And, of Envoy's own
//! statistics, the counters of RBAC.
//!
//! 25 label strings per request would cost more than routing it, so handles are resolved once per combination and kept
//! in a [`MetricCache`] of each worker. Series whose workloads are gone are dropped by [`Metrics::sweep`], after one scrape
//! has had the chance to see their last value. No label is added that `istio.stats` lacks.

mod cache;
mod families;
mod labels;
mod rbac;
mod tags;

pub use cache::{HttpHandles, MetricCache, TcpHandles};

use crate::limits::{METRIC_SERIES_MAX, METRIC_TAGGED_SERIES_MAX};
use crate::model::http_chain::StatsFilter;
use crate::model::rbac::PlacedRbac;
use crate::telemetry::record::RequestRecord;
use families::Families;
use labels::{HTTP_LABELS, LabelValues, TCP_LABELS};
use prometheus::{Histogram, IntCounter, IntGaugeVec, Opts, Registry, TextEncoder};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tags::{Added, Admitted, TagValues};

/// Envoy's histogram buckets, as Prometheus upper bounds.
pub const BUCKETS: [f64; 19] = [
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 1.8e6,
    3.6e6,
];

/// Process-wide; shared by all workers.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Families,
    tag_values: Admitted,
    rbac: rbac::RbacSeries,
    series: Mutex<AllSeries>,
    /// Grows when series were dropped: cached handles of the time before count into nothing.
    generation: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Family {
    Requests,
    RequestDuration,
    RequestBytes,
    ResponseBytes,
    RequestMessages,
    ResponseMessages,
    TcpOpened,
    TcpClosed,
    TcpSent,
    TcpReceived,
}

impl Family {
    const HISTOGRAMS: [Self; 3] = [Self::RequestDuration, Self::RequestBytes, Self::ResponseBytes];

    /// As the Telemetry API and `stats.PluginConfig` name it; exposed with `istio_` in front.
    const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests_total",
            Self::RequestDuration => "request_duration_milliseconds",
            Self::RequestBytes => "request_bytes",
            Self::ResponseBytes => "response_bytes",
            Self::RequestMessages => "request_messages_total",
            Self::ResponseMessages => "response_messages_total",
            Self::TcpOpened => "tcp_connections_opened_total",
            Self::TcpClosed => "tcp_connections_closed_total",
            Self::TcpSent => "tcp_sent_bytes_total",
            Self::TcpReceived => "tcp_received_bytes_total",
        }
    }

    const fn help(self) -> &'static str {
        match self {
            Self::Requests => "Requests served or refused",
            Self::RequestDuration => "Duration of requests in milliseconds",
            Self::RequestBytes => "Body bytes of requests",
            Self::ResponseBytes => "Body bytes of responses",
            Self::RequestMessages => "Messages of gRPC requests",
            Self::ResponseMessages => "Messages of gRPC responses",
            Self::TcpOpened => "TCP connections opened",
            Self::TcpClosed => "TCP connections closed",
            Self::TcpSent => "Bytes sent to clients of TCP connections",
            Self::TcpReceived => "Bytes received from clients of TCP connections",
        }
    }

    const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::TcpOpened | Self::TcpClosed | Self::TcpSent | Self::TcpReceived => &TCP_LABELS,
            _ => &HTTP_LABELS,
        }
    }
}

type SeriesKey = ((Family, Added), LabelValues);

/// A workload's uid, where the peer is one.
type Uid = Option<Arc<str>>;

#[derive(Debug, Default)]
struct AllSeries {
    by_key: HashMap<SeriesKey, Series>,
    /// Those with tags by expression.
    tagged: usize,
}

/// Who a series speaks of: uids of source and destination. It lives as long as one such pair does.
#[derive(Debug, Default)]
struct Series {
    users: Vec<(Uid, Uid)>,
    tagged: bool,
    /// All users are gone; dropped by the next sweep.
    stale: bool,
}

impl Metrics {
    /// `tag` is the version `istio_build` shows, `ISTIO_VERSION`.
    ///
    /// # Errors
    /// Never with these names; the registry checks them.
    pub fn new(tag: &str) -> prometheus::Result<Arc<Self>> {
        let registry = Registry::new();
        let build =
            IntGaugeVec::new(Opts::new("istio_build", "Istio component build info"), &["component", "tag"])?;
        build.with_label_values(&["proxy", tag]).set(1);
        registry.register(Box::new(build))?;
        Ok(Arc::new(Self {
            registry,
            families: Families::default(),
            tag_values: Admitted::default(),
            rbac: rbac::RbacSeries::default(),
            series: Mutex::default(),
            generation: AtomicU64::new(0),
        }))
    }

    /// For metrics of ours that are not Istio's; under our own prefix.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The Prometheus text format, version 0.0.4.
    ///
    /// # Errors
    /// When a family registered by somebody else cannot be encoded.
    pub fn exposition(&self) -> prometheus::Result<String> {
        let mut families = self.registry.gather();
        families.extend(self.families.gather());
        families.extend(self.rbac.gather());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        TextEncoder::new().encode_to_string(&families)
    }

    /// Gives those of these filters that have none their counters; how many there was no room for.
    pub fn count_rbac<'a>(&self, filters: impl Iterator<Item = PlacedRbac<'a>>) -> usize {
        filters.filter(|filter| !self.rbac.place(filter)).count()
    }

    /// Drops series whose workloads are all gone since before the last sweep; the number dropped.
    pub fn sweep(&self, is_live: impl Fn(&str) -> bool) -> usize {
        self.rbac.sweep();
        let live = |uid: &Uid| uid.as_ref().is_none_or(|uid| is_live(uid));
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let series = &mut *series;
        let before = series.by_key.len();
        series.by_key.retain(|(kind, values), series| {
            series.users.retain(|(source, destination)| live(source) && live(destination));
            let dropped = series.users.is_empty() && series.stale;
            series.stale = series.users.is_empty();
            if dropped {
                self.families.remove(kind.0, &kind.1, &values.as_strs());
            }
            !dropped
        });
        let dropped = before - series.by_key.len();
        if dropped > 0 {
            series.tagged = series.by_key.values().filter(|series| series.tagged).count();
            self.families.keep(&series.by_key.keys().map(|(kind, _)| kind).collect());
            let tagged = series.by_key.keys().flat_map(|(_, values)| values.as_strs());
            self.tag_values.keep(&tagged.collect::<HashSet<_>>());
            self.generation.fetch_add(1, Ordering::Release);
        }
        dropped
    }

    fn http(&self, record: &RequestRecord<'_>, wanted: Wanted<'_>) -> HttpHandles {
        let messages = |family| record.grpc_messages.and_then(|_| self.counter(family, record, wanted));
        HttpHandles {
            requests: self.counter(Family::Requests, record, wanted),
            duration: self.histogram(Family::RequestDuration, record, wanted),
            request_bytes: self.histogram(Family::RequestBytes, record, wanted),
            response_bytes: self.histogram(Family::ResponseBytes, record, wanted),
            request_messages: messages(Family::RequestMessages),
            response_messages: messages(Family::ResponseMessages),
        }
    }

    fn tcp(&self, record: &RequestRecord<'_>, wanted: Wanted<'_>) -> TcpHandles {
        TcpHandles {
            opened: self.counter(Family::TcpOpened, record, wanted),
            closed: self.counter(Family::TcpClosed, record, wanted),
            sent: self.counter(Family::TcpSent, record, wanted),
            received: self.counter(Family::TcpReceived, record, wanted),
        }
    }

    fn counter(&self, family: Family, record: &RequestRecord<'_>, wanted: Wanted<'_>) -> Option<IntCounter> {
        let (added, values) = self.track(family, record, wanted)?;
        self.families.counter(family, &added, &values.as_strs())
    }

    fn histogram(&self, family: Family, record: &RequestRecord<'_>, wanted: Wanted<'_>) -> Option<Histogram> {
        let (added, values) = self.track(family, record, wanted)?;
        self.families.histogram(family, &added, &values.as_strs())
    }

    /// The label values of this record, remembered with their users; `None` when the metric is not wanted.
    fn track(
        &self,
        family: Family,
        record: &RequestRecord<'_>,
        wanted: Wanted<'_>,
    ) -> Option<(Added, LabelValues)> {
        let filter = wanted.filter;
        if filter.dropped.iter().any(|name| name.is_empty() || **name == *family.name()) {
            return None;
        }
        let added = Added::of(family, filter);
        let mut values = LabelValues::of(family.labels(), record, filter.disable_host_header_fallback);
        values.extend(added.names().len());
        added.apply(family, filter, wanted.tags, &mut values);
        let tagged = !wanted.tags.is_empty();
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let series = &mut *series;
        let mut key = ((family, added.clone()), values);
        if tagged && series.tagged >= METRIC_TAGGED_SERIES_MAX && !series.by_key.contains_key(&key) {
            added.apply(family, filter, &TagValues::unknown(filter), &mut key.1);
        }
        if series.by_key.len() >= METRIC_SERIES_MAX && !series.by_key.contains_key(&key) {
            return Some((Added::default(), LabelValues::overflow(family.labels())));
        }
        let values = key.1.clone();
        let uid = |workload: Option<&Arc<crate::model::workload::Workload>>| {
            workload.map(|workload| workload.uid.clone())
        };
        let user = (uid(record.downstream.workload), uid(record.upstream.workload));
        let one = series.by_key.entry(key).or_default();
        series.tagged += usize::from(tagged && !one.tagged);
        (one.tagged, one.stale) = (tagged, false);
        if !one.users.contains(&user) {
            one.users.push(user);
        }
        Some((added, values))
    }
}

/// What decides about a record's series besides the record itself.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    filter: &'a StatsFilter,
    /// The values its expressions have for this record.
    tags: &'a TagValues,
}

#[cfg(test)]
mod tests;
