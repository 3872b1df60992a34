//! Handing records to metrics and access logs; what they contain is the core's.

use super::connection::Connection;
use super::worker::Worker;
use std::sync::Arc;
use waypoint_core::model::access_log::AccessLog;
use waypoint_core::model::http_chain::StatsFilter;
use waypoint_core::store::Snapshot;
use waypoint_core::telemetry::record::{Downstream, RequestRecord};

/// The client's side of a record.
#[must_use]
pub fn downstream<'a>(connection: &'a Connection, snapshot: &'a Snapshot) -> Downstream<'a> {
    let tunnel = &connection.tunnel;
    Downstream {
        local_address: tunnel.target,
        remote_address: Some(tunnel.source),
        direct_remote_address: Some(tunnel.source),
        peer_principal: tunnel.principal.as_ref(),
        local_principal: Some(&connection.worker.process.local_principal),
        requested_server_name: tunnel.sni.as_deref(),
        workload: tunnel.workload(snapshot),
    }
}

/// Everything a finished request leaves behind.
pub fn write(
    worker: &Worker,
    record: &RequestRecord<'_>,
    stats: Option<&StatsFilter>,
    logs: &[Arc<AccessLog>],
) {
    if let Some(stats) = stats {
        worker.metrics().request(record, stats);
    }
    lines(worker, record, logs);
}

/// The log lines alone.
pub fn lines(worker: &Worker, record: &RequestRecord<'_>, logs: &[Arc<AccessLog>]) {
    for log in logs {
        if let Some(line) = waypoint_core::telemetry::access_log::line(log, record) {
            worker.process.logs.write(&log.sink, line);
        }
    }
}
