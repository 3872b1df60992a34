//! Copies of requests for other clusters: sent and forgotten, bounded, never able to slow the request down.

use super::connection::Connection;
use super::http::body::UpstreamBody;
use super::http::exchange::attempt::connect;
use super::http::exchange::forward::Prepared;
use super::upstream::cluster::{self, Aim};
use super::worker::Worker;
use crate::limits;
use http_body_util::BodyExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use waypoint_core::balance::Avoid;
use waypoint_core::model::cluster::UpstreamProtocol;
use waypoint_core::routing::plan::MirrorPlan;
use waypoint_core::store::Snapshot;

/// Counts as a mirror in flight.
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts a copy; drops it when too many are in flight already.
pub fn start(
    connection: &Connection,
    snapshot: &Arc<Snapshot>,
    plan: MirrorPlan,
    mut prepared: Prepared,
    body: UpstreamBody,
) {
    let worker = connection.worker.clone();
    let slot = Slot(worker.mirrors.clone());
    if worker.mirrors.fetch_add(1, Ordering::Relaxed) >= limits::MIRRORS_MAX {
        return;
    }
    if plan.append_shadow_suffix {
        prepared.append_to_host("-shadow");
    }
    prepared.sent_by(worker.process.address);
    let snapshot = snapshot.clone();
    let aim = Aim::new(&connection.tunnel, prepared.host());
    tokio::spawn(async move {
        let _slot = slot;
        let sending = send(&worker, &snapshot, (&plan, aim), prepared, body);
        match tokio::time::timeout(limits::MIRROR_TIMEOUT, sending).await {
            Ok(Some(())) => {}
            Ok(None) => tracing::debug!(cluster = &*plan.cluster, "mirrored request failed"),
            Err(_) => tracing::debug!(cluster = &*plan.cluster, "mirrored request timed out"),
        }
    });
}

async fn send(
    worker: &Arc<Worker>,
    snapshot: &Arc<Snapshot>,
    (plan, aim): (&MirrorPlan, Aim),
    prepared: Prepared,
    body: UpstreamBody,
) -> Option<()> {
    let (snapshot, entry) = cluster::ready(worker, snapshot, &plan.cluster).await?;
    let _permit = entry.breakers.request()?;
    let aim = aim.resolve(worker, &entry, None).await.ok()?;
    let choice =
        cluster::choose((&entry, &snapshot), &aim, None, Avoid::default(), &mut worker.dice()).ok()?;
    let _active = choice.host.as_ref().map(|host| host.begin());
    let http2 = entry.cluster.protocol == UpstreamProtocol::Http2;
    let mut request = prepared.into_request(http2, body);
    let (mut lease, response) = loop {
        let mut lease = connect(worker, &entry, &choice, http2).await.ok()?;
        match lease.sender.send(request).await {
            Ok(response) => break (lease, response),
            Err(failure) => request = failure.request.filter(|_| lease.reused)?,
        }
    };
    let mut answer = response.into_body();
    while let Some(frame) = answer.frame().await {
        frame.ok()?;
    }
    // A connection whose request is still being written is not idle.
    if lease.sender.is_usable().await {
        lease.release();
    }
    Some(())
}
