//! The loop that keeps a connection to istio-cni: hello, then one answer per request.
//!
//! Running proxies live on while there is no connection; the node is ready only with one, its snapshot complete and no pod
//! pending.

use crate::inpod::pods::{Pods, Snapshot, Start};
use crate::inpod::protocol::{HELLO, ack, parse};
use crate::inpod::socket::{PacketError, Packets};
use crate::limits::{POD_RETRY, ZDS_BACKOFF};
use mesh::lifecycle::{DrainWatch, Readiness, ReadyToken};
use std::io;
use std::path::Path;
use tokio::time::{Instant, sleep_until};

/// As pending lists name it.
const TASK: &str = "workload proxy manager";

/// Runs until the drain starts.
pub async fn run<S: Start>(path: &Path, pods: &Pods<S>, readiness: &Readiness, drain: DrainWatch) {
    let mut gate = Gate { readiness, token: Some(readiness.register(TASK)) };
    let mut wait = ZDS_BACKOFF.0;
    loop {
        let mut snapshot = Snapshot::default();
        let ended = tokio::select! {
            () = drain.started() => return,
            ended = session(path, pods, &mut gate, &mut snapshot) => ended,
        };
        gate.set(false);
        if snapshot.complete {
            wait = ZDS_BACKOFF.0;
        }
        match ended {
            Ok(()) => tracing::info!("istio-cni closed the connection"),
            Err(error) => tracing::warn!(%error, path = %path.display(), "no connection to istio-cni"),
        }
        tokio::select! {
            () = drain.started() => return,
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(ZDS_BACKOFF.1),
        }
    }
}

/// Holds readiness back while it is closed.
struct Gate<'a> {
    readiness: &'a Readiness,
    token: Option<ReadyToken>,
}

impl Gate<'_> {
    fn set(&mut self, open: bool) {
        if open {
            self.token = None;
        } else if self.token.is_none() {
            self.token = Some(self.readiness.register(TASK));
        }
    }
}

async fn session<S: Start>(
    path: &Path,
    pods: &Pods<S>,
    gate: &mut Gate<'_>,
    snapshot: &mut Snapshot,
) -> Result<(), PacketError> {
    let packets = Packets::connect(path).await?;
    packets.send(&HELLO).await?;
    tracing::info!(path = %path.display(), "connected to istio-cni");
    let mut retry_at = Instant::now() + POD_RETRY;
    loop {
        gate.set(snapshot.complete && pods.is_settled());
        let received = tokio::select! {
            received = packets.receive() => received?,
            () = sleep_until(retry_at), if !pods.is_settled() => {
                pods.retry().await;
                retry_at = Instant::now() + POD_RETRY;
                continue;
            }
        };
        let (packet, descriptors) = received;
        if packet.is_empty() {
            return Ok(());
        }
        let settled = pods.is_settled();
        let outcome = match parse(&packet, descriptors) {
            Ok(message) => pods.apply(message, snapshot).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(applied) => packets.send(&ack(applied.as_ref().err().map_or("", String::as_str))).await?,
            // The two sides disagree about the protocol's state: only a fresh snapshot can repair that.
            Err(error) => {
                packets.send(&ack(&error.to_string())).await?;
                return Err(io::Error::from(error).into());
            }
        }
        if settled && !pods.is_settled() {
            retry_at = Instant::now() + POD_RETRY;
        }
    }
}

#[cfg(test)]
mod tests;
