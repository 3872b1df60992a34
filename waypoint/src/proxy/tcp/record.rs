//! What happened to one TCP connection: counted while it lives, logged when it ends.

use super::copy::{Counters, Ended};
use crate::proxy::connection::Connection;
use crate::proxy::telemetry;
use crate::proxy::upstream::destination::Destination;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use waypoint_core::failure::{Failure, ResponseFlag, ResponseFlags};
use waypoint_core::model::cluster::ServiceRef;
use waypoint_core::model::listener::TcpChain;
use waypoint_core::store::Snapshot;
use waypoint_core::telemetry::metrics::TcpHandles;
use waypoint_core::telemetry::record::{Protocol, RequestRecord, Upstream};

pub(super) struct TcpRecord<'c> {
    connection: &'c Connection,
    chain: Arc<TcpChain>,
    snapshot: Arc<Snapshot>,
    started: Instant,
    cluster: Option<Arc<str>>,
    observable_cluster: Option<Arc<str>>,
    pub service: Option<Arc<ServiceRef>>,
    pub upstream: Option<Destination>,
    pub transport_failure: Option<String>,
    local: Option<SocketAddr>,
    flags: ResponseFlags,
    termination: Option<String>,
    details: Option<String>,
    handles: Option<TcpHandles>,
    received: u64,
    sent: u64,
    /// Bytes already counted in metrics.
    reported: (u64, u64),
}

impl<'c> TcpRecord<'c> {
    pub(super) fn new(connection: &'c Connection, chain: Arc<TcpChain>) -> Self {
        Self {
            connection,
            chain,
            snapshot: connection.worker.snapshot(),
            started: Instant::now(),
            cluster: None,
            observable_cluster: None,
            service: None,
            upstream: None,
            transport_failure: None,
            local: None,
            flags: ResponseFlags::NONE,
            termination: None,
            details: None,
            handles: None,
            received: 0,
            sent: 0,
            reported: (0, 0),
        }
    }

    /// A cluster that is not there is none.
    pub(super) fn leads_to(&mut self, cluster: Option<&Arc<str>>) {
        let entry = cluster.and_then(|name| self.snapshot.cluster(name));
        self.service = entry.and_then(|entry| entry.cluster.service.clone());
        self.observable_cluster = entry.map(|entry| entry.cluster.observable_name.clone());
        self.cluster = cluster.filter(|_| entry.is_some()).cloned();
    }

    pub(super) fn opened(&mut self, local: Option<SocketAddr>) {
        self.local = local;
        self.count_opened();
    }

    /// The labels are known once the endpoint is: every later count goes to the same series.
    fn count_opened(&mut self) {
        if let Some(stats) = &self.chain.stats {
            self.handles = Some(self.with(|record| self.connection.worker.metrics().tcp(record, stats)));
        }
        if let Some(opened) = self.handles.as_ref().and_then(|handles| handles.opened.as_ref()) {
            opened.inc();
        }
    }

    fn count_closed(&self) {
        if let Some(closed) = self.handles.as_ref().and_then(|handles| handles.closed.as_ref()) {
            closed.inc();
        }
    }

    /// Bytes since the last report go into the metrics of the connection that is still open.
    pub(super) fn progress(&mut self, counters: &Counters) {
        self.received = counters.received.load(Ordering::Relaxed);
        self.sent = counters.sent.load(Ordering::Relaxed);
        let (received, sent) = (self.received - self.reported.0, self.sent - self.reported.1);
        if let Some(handles) = &self.handles {
            handles.received.iter().for_each(|counter| counter.inc_by(received));
            handles.sent.iter().for_each(|counter| counter.inc_by(sent));
        }
        self.reported = (self.received, self.sent);
    }

    pub(super) fn closed(mut self, counters: &Counters, ended: &Ended) {
        self.progress(counters);
        match ended {
            Ended::TooLong => self.flags = self.flags.with(ResponseFlag::DT),
            Ended::Upstream(_) => self.flags = self.flags.with(ResponseFlag::UR),
            Ended::Clean | Ended::Idle | Ended::Downstream(_) => {}
        }
        self.count_closed();
        self.log();
    }

    pub(super) fn failed(mut self, failure: &Failure) {
        self.flags = failure.flags;
        self.count_opened();
        self.count_closed();
        self.log();
    }

    /// Envoy: RBAC says why in `%CONNECTION_TERMINATION_DETAILS%` and sets no flag, an authorization service in
    /// `%RESPONSE_CODE_DETAILS%`.
    pub(super) fn denied(mut self, failure: &Failure) {
        self.flags = failure.flags;
        let why = Some(failure.details.clone().into_owned());
        match failure.flags.contains(ResponseFlag::UAEX) {
            true => self.details = why,
            false => self.termination = why,
        }
        self.count_opened();
        self.count_closed();
        self.log();
    }

    fn log(&self) {
        self.with(|record| telemetry::log(&self.connection.worker, record, &self.chain.access_logs));
    }

    fn with<T>(&self, read: impl FnOnce(&RequestRecord<'_>) -> T) -> T {
        let host = self.upstream.as_ref().map(Destination::label);
        let record = RequestRecord {
            duration: self.started.elapsed(),
            protocol: Protocol::Tcp,
            flags: self.flags,
            details: self.details.as_deref(),
            termination_details: self.termination.as_deref(),
            upstream_transport_failure: self.transport_failure.as_deref(),
            bytes_received: self.received,
            bytes_sent: self.sent,
            upstream: Upstream {
                cluster: self.cluster.as_deref(),
                observable_cluster: self.observable_cluster.as_deref(),
                host: host.as_deref(),
                local_address: self.local,
                remote_address: None,
                attempts: u32::from(self.upstream.is_some()),
                workload: self.upstream.as_ref().and_then(|upstream| upstream.workload.as_ref()),
            },
            downstream: telemetry::downstream(
                &self.connection.worker,
                &self.connection.tunnel,
                &self.snapshot,
            ),
            service: self.service.as_ref(),
            hostname: &self.connection.worker.process.hostname,
            node: &self.connection.worker.process.node,
            ..RequestRecord::new(self.connection.tunnel.start)
        };
        read(&record)
    }
}
