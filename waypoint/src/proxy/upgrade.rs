//! After an answered upgrade: two raw connections joined, each side's end passed on by itself.
//!
//! The record of the request is written when the connection ends: until then nobody knows what it carried.

use super::connection::Connection;
use super::http::exchange::Upgrade;
use super::stream::{Rewind, Shared};
use super::tcp::copy::{self, Bounds, Counters, Ended};
use crate::limits;
use bytes::BytesMut;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use mesh::hbone::TunnelStream;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// The client's end.
pub enum Raw {
    /// The connection itself, behind what was read of it already.
    Http1(Rewind<Shared>, Shared),
    /// One stream of it.
    Http2(TunnelStream),
}

impl From<(BytesMut, Shared)> for Raw {
    fn from((early, stream): (BytesMut, Shared)) -> Self {
        Self::Http1(Rewind::new(early.freeze(), stream.clone()), stream)
    }
}

/// Joins until both directions ended, then writes the request's record.
pub async fn join(mut upgrade: Upgrade, raw: Raw, connection: &Connection) {
    let counters = Arc::new(Counters::default());
    let upstream = upgrade.upstream().await;
    if let Err(error) = &upstream {
        tracing::debug!(%error, "upgrade");
    }
    let ended = match raw {
        Raw::Http1(mut downstream, stream) => {
            let ended = relay(&mut downstream, upstream, &counters).await;
            if !is_clean(ended.as_ref()) {
                stream.reset();
            }
            ended
        }
        Raw::Http2(mut downstream) => {
            let ended = relay(&mut downstream, upstream, &counters).await;
            if !is_clean(ended.as_ref()) {
                downstream.reset(h2::Reason::CANCEL);
            }
            ended
        }
    };
    upgrade.finish(connection, &counters, ended.as_ref());
}

/// An upgraded connection has no protocol left to end it, so silence does. `None`: there was nothing to join.
async fn relay<D>(
    downstream: &mut D,
    upstream: hyper::Result<Upgraded>,
    counters: &Arc<Counters>,
) -> Option<Ended>
where
    D: AsyncRead + AsyncWrite + Unpin,
{
    let bounds = Bounds { idle: limits::TCP_IDLE, duration: None };
    let mut upstream = TokioIo::new(upstream.ok()?);
    let ended = copy::copy(downstream, &mut upstream, bounds, counters).await;
    tracing::trace!(?ended, "upgraded connection");
    Some(ended)
}

fn is_clean(ended: Option<&Ended>) -> bool {
    matches!(ended, Some(Ended::Clean))
}
