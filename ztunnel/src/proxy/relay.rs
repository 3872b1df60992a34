//! The life of a connection after both sides are there: copy, count, and end it in the one right way.

use crate::proxy::copy::{CopyError, Side, copy_both_ways};
use crate::proxy::pod::Pod;
use crate::telemetry::{Failure, Record};
use h2::Reason;
use mesh::hbone::TunnelStream;
use socket2::SockRef;
use std::future::pending;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// Ending a side so that nobody takes it for a complete exchange.
pub(super) trait Abort {
    fn abort(&mut self);
}

impl Abort for TcpStream {
    fn abort(&mut self) {
        // Makes the close that follows a RST. A socket that refuses the option closes with FIN, which is all that is left.
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }
}

impl Abort for TunnelStream {
    fn abort(&mut self) {
        self.reset(Reason::CANCEL);
    }
}

/// Copies until both sides ended, one failed, the pod is gone, or `revoked` fires; closes the record.
pub(super) async fn relay<D, U>(
    pod: &Pod,
    (mut downstream, mut upstream): (D, U),
    mut record: Record,
    revoked: Option<oneshot::Receiver<()>>,
) where
    D: AsyncRead + AsyncWrite + Unpin + Abort,
    U: AsyncRead + AsyncWrite + Unpin + Abort,
{
    record.opened();
    let count = |side: Side, bytes: usize| match side {
        Side::Downstream => record.received(bytes),
        Side::Upstream => record.sent(bytes),
    };
    let result = tokio::select! {
        result = copy_both_ways(&mut downstream, &mut upstream, count) => result.map_err(|CopyError { side, error }| {
            match side {
                Side::Downstream => Failure::Downstream(error),
                Side::Upstream => Failure::Upstream(error),
            }
        }),
        () = pod.is_gone.started() => Err(Failure::PodGone),
        () = fired(revoked) => Err(Failure::PolicyChanged),
    };
    if result.is_err() {
        downstream.abort();
        upstream.abort();
    }
    record.finish(result.as_ref().copied());
}

/// Only a message counts: the sender also goes when the connection leaves the table.
async fn fired(revoked: Option<oneshot::Receiver<()>>) {
    if let Some(revoked) = revoked
        && revoked.await.is_ok()
    {
        return;
    }
    pending::<()>().await;
}
