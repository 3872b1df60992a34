//! Handing records to metrics and access logs; what they contain is the core's.

use super::connection::Tunnel;
use super::worker::Worker;
use std::sync::Arc;
use waypoint_core::model::access_log::{AccessLog, LogOutput};
use waypoint_core::model::http_chain::StatsFilter;
use waypoint_core::store::Snapshot;
use waypoint_core::telemetry::access_log;
use waypoint_core::telemetry::record::{Downstream, RequestRecord};

/// The client's side of a record.
#[must_use]
pub fn downstream<'a>(worker: &'a Worker, tunnel: &'a Tunnel, snapshot: &'a Snapshot) -> Downstream<'a> {
    Downstream {
        local_address: tunnel.target,
        remote_address: Some(tunnel.source),
        direct_remote_address: Some(tunnel.source),
        peer_principal: tunnel.principal.as_ref(),
        local_principal: Some(&worker.process.local_principal),
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
    log(worker, record, logs);
}

/// The access log alone.
pub fn log(worker: &Worker, record: &RequestRecord<'_>, logs: &[Arc<AccessLog>]) {
    for log in logs.iter().filter(|log| access_log::is_wanted(log, record)) {
        match &log.output {
            LogOutput::Lines { sink, format } => {
                worker.process.logs.write(sink, access_log::line(format, record));
            }
            LogOutput::Service(service) => {
                worker.log_batches.push(service, record, &worker.process.exports);
            }
        }
    }
}
