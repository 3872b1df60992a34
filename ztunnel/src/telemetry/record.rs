//! One connection from open to close: counters while it lives, one access log line and the closing metrics at its end.
//!
//! Invariant: each record that was opened is closed exactly once, also when its task is dropped.

use crate::state::{Service, Workload};
use crate::telemetry::{Failure, Metrics, Party, Reporter, ResponseFlag, TrafficLabels};
use mesh::identity::SpiffeId;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Inbound,
    Outbound,
}

/// What is known of both ends once the connection is decided.
#[derive(Clone, Debug)]
pub struct Ends {
    pub direction: Direction,
    pub source: SocketAddr,
    pub source_workload: Option<Arc<Workload>>,
    /// Of the TLS session; none for plaintext.
    pub source_identity: Option<SpiffeId>,
    pub destination: SocketAddr,
    /// Target of the tunnel, where there is one.
    pub hbone_target: Option<String>,
    pub destination_workload: Option<Arc<Workload>>,
    pub destination_identity: Option<SpiffeId>,
    pub service: Option<Arc<Service>>,
}

/// A connection under way.
#[derive(Debug)]
pub struct Record {
    ends: Ends,
    labels: TrafficLabels,
    metrics: Arc<Metrics>,
    started: Instant,
    live: Option<Live>,
    done: bool,
}

/// Counters of an open connection, resolved once.
#[derive(Clone, Debug)]
struct Live {
    received: Counter,
    sent: Counter,
    sockets: Gauge,
    request_bytes: u64,
    response_bytes: u64,
}

impl Record {
    #[must_use]
    pub fn new(ends: Ends, metrics: &Arc<Metrics>, started: Instant) -> Self {
        let labels = TrafficLabels {
            reporter: match ends.direction {
                Direction::Inbound => Reporter::Destination,
                Direction::Outbound => Reporter::Source,
            },
            source: Arc::new(Party::new(ends.source_workload.as_deref(), ends.source_identity.as_ref())),
            destination: Arc::new(Party::new(
                ends.destination_workload.as_deref(),
                ends.destination_identity.as_ref(),
            )),
            service: ends.service.as_deref().map(TrafficLabels::of_service),
            flag: ResponseFlag::None,
            mutual_tls: ends.source_identity.is_some(),
        };
        Self { ends, labels, metrics: metrics.clone(), started, live: None, done: false }
    }

    /// The upstream is there; bytes may flow.
    pub fn opened(&mut self) {
        self.metrics.opened.get_or_create(&self.labels).inc();
        let live = Live {
            received: self.metrics.received.get_or_create_owned(&self.labels),
            sent: self.metrics.sent.get_or_create_owned(&self.labels),
            sockets: self.metrics.sockets_open(self.labels.reporter),
            request_bytes: 0,
            response_bytes: 0,
        };
        live.sockets.inc();
        self.live = Some(live);
        self.log(tracing::Level::DEBUG, None);
    }

    /// Bytes from the client.
    pub fn received(&mut self, bytes: usize) {
        if let Some(live) = &mut self.live {
            live.request_bytes += bytes as u64;
            live.received.inc_by(bytes as u64);
        }
    }

    /// Bytes to the client.
    pub fn sent(&mut self, bytes: usize) {
        if let Some(live) = &mut self.live {
            live.response_bytes += bytes as u64;
            live.sent.inc_by(bytes as u64);
        }
    }

    /// The end, good or bad.
    pub fn finish(mut self, result: Result<(), &Failure>) {
        self.close(result.err());
    }

    fn close(&mut self, failure: Option<&Failure>) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let labels = self.labels.with_flag(failure.map_or(ResponseFlag::None, Failure::flag));
        if let Some(live) = &self.live {
            live.sockets.dec();
            self.metrics.closed.get_or_create(&labels).inc();
        } else {
            self.metrics.failed.get_or_create(&labels).inc();
        }
        let level = if failure.is_some() { tracing::Level::ERROR } else { tracing::Level::INFO };
        self.log(level, failure);
    }

    fn log(&self, level: tracing::Level, failure: Option<&Failure>) {
        let ends = &self.ends;
        let (request, response) =
            self.live.as_ref().map_or((0, 0), |live| (live.request_bytes, live.response_bytes));
        let (direction, sent, received) = match ends.direction {
            Direction::Inbound => ("inbound", response, request),
            Direction::Outbound => ("outbound", request, response),
        };
        let (source, destination) = (ends.source_workload.as_deref(), ends.destination_workload.as_deref());
        let duration = format!("{}ms", self.started.elapsed().as_millis());
        let error = failure.map(ToString::to_string);
        // tracing wants level and message at compile time.
        macro_rules! line {
            ($level:expr, $message:literal) => {
                tracing::event!(
                    target: "access",
                    $level,
                    src.addr = display(ends.source),
                    src.workload = source.map(|workload| &*workload.name),
                    src.namespace = source.map(|workload| &*workload.namespace),
                    src.identity = ends.source_identity.as_ref().map(SpiffeId::as_str),
                    src.cluster = source.map(|workload| &*workload.cluster_id),
                    dst.addr = display(ends.destination),
                    dst.hbone_addr = ends.hbone_target.as_ref().map(display),
                    dst.service = ends.service.as_ref().map(|service| &*service.hostname),
                    dst.workload = destination.map(|workload| &*workload.name),
                    dst.namespace = destination.map(|workload| &*workload.namespace),
                    dst.identity = ends.destination_identity.as_ref().map(SpiffeId::as_str),
                    dst.cluster = destination.map(|workload| &*workload.cluster_id),
                    direction,
                    bytes_sent = sent,
                    bytes_recv = received,
                    duration = duration.as_str(),
                    error = error.as_deref(),
                    $message
                )
            };
        }
        match level {
            tracing::Level::DEBUG => line!(tracing::Level::DEBUG, "connection opened"),
            tracing::Level::INFO => line!(tracing::Level::INFO, "connection complete"),
            _ => line!(tracing::Level::ERROR, "connection complete"),
        }
    }
}

/// A task dropped in mid-connection (its worker stops) still closes its books.
impl Drop for Record {
    fn drop(&mut self) {
        if !self.done {
            self.close(Some(&Failure::Drained));
        }
    }
}
