//! The access log of what no chain served: tunnels that were refused, by the logs of the listeners themselves.

use super::connection::Tunnel;
use super::telemetry;
use super::worker::Worker;
use http::{HeaderMap, StatusCode};
use waypoint_core::failure::{ResponseFlag, ResponseFlags};
use waypoint_core::store::Snapshot;
use waypoint_core::telemetry::record::{Protocol, RequestHead, RequestRecord, ResponseHead};

/// What `%RESPONSE_CODE_DETAILS%` says where no chain serves the target.
pub const NO_CHAIN: &str = "filter_chain_not_found";

/// `connect_terminate`: a CONNECT that was not answered with 200.
pub fn connect(worker: &Worker, snapshot: &Snapshot, tunnel: &Tunnel, status: StatusCode, details: &str) {
    let Some(logs) = snapshot.connect_terminate.as_ref().map(|terminate| &terminate.access_logs) else {
        return;
    };
    let (headers, details) = (HeaderMap::new(), details.replace(' ', "_"));
    let record = RequestRecord {
        protocol: Protocol::Http2,
        request: Some(RequestHead {
            method: "CONNECT",
            path: "",
            authority: &tunnel.authority,
            scheme: "",
            headers: &headers,
            grpc: false,
        }),
        response: Some(ResponseHead { status: status.as_u16(), headers: &headers, trailers: None }),
        details: Some(&details),
        ..of(worker, snapshot, tunnel)
    };
    telemetry::log(worker, &record, logs);
}

/// `main_internal`: a connection without a chain.
pub fn unmatched(worker: &Worker, snapshot: &Snapshot, tunnel: &Tunnel) {
    let Some(logs) = snapshot.main_internal.as_ref().map(|listener| &listener.access_logs) else { return };
    let record = RequestRecord {
        protocol: Protocol::Tcp,
        flags: ResponseFlags::of(ResponseFlag::NR),
        details: Some(NO_CHAIN),
        ..of(worker, snapshot, tunnel)
    };
    telemetry::log(worker, &record, logs);
}

fn of<'a>(worker: &'a Worker, snapshot: &'a Snapshot, tunnel: &'a Tunnel) -> RequestRecord<'a> {
    RequestRecord {
        duration: tunnel.start.elapsed().unwrap_or_default(),
        downstream: telemetry::downstream(worker, tunnel, snapshot),
        hostname: &worker.process.hostname,
        node: &worker.process.node,
        ..RequestRecord::new(tunnel.start)
    }
}
