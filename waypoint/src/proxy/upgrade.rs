//! After a 101: two raw connections joined, each side's end passed on by itself.

use super::http::exchange::Upgrade;
use super::stream::{Rewind, Shared};
use super::tcp::copy::{self, Bounds, Counters};
use crate::limits;
use bytes::BytesMut;
use hyper_util::rt::TokioIo;
use std::sync::Arc;

/// Copies until both directions ended. An upgraded connection has no protocol left to end it, so silence does.
pub async fn join(upgrade: Upgrade, (early, stream): (BytesMut, Shared)) -> Arc<Counters> {
    let counters = Arc::new(Counters::default());
    let Upgrade { upstream, .. } = upgrade;
    match upstream.await {
        Ok(upstream) => {
            let mut downstream = Rewind::new(early.freeze(), stream.clone());
            let mut upstream = TokioIo::new(upstream);
            let bounds = Bounds { idle: limits::TCP_IDLE, duration: None };
            let ended = copy::copy(&mut downstream, &mut upstream, bounds, &counters).await;
            if !matches!(ended, copy::Ended::Clean) {
                tracing::debug!(?ended, "upgraded connection");
                stream.reset();
            }
        }
        Err(error) => {
            tracing::debug!(%error, "upgrade");
            stream.reset();
        }
    }
    counters
}
