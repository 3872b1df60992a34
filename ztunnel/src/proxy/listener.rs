//! Accepting: one task per listener, which hands each connection to the least loaded worker.

use crate::limits;
use crate::proxy::workers::{Worker, Workers};
use crate::sockets::pollable;
use mesh::lifecycle::DrainWatch;
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Accepts until `drain` starts (then what the kernel holds already is still taken) or `gone` does.
pub(super) async fn accept(
    listener: TcpListener,
    workers: Arc<Workers>,
    (drain, gone): (DrainWatch, DrainWatch),
    serve: impl Fn(&Worker, TcpStream, SocketAddr),
) {
    // The plain socket is registered here, the accepted ones on their workers: none is ever registered twice.
    let listener = match pollable(listener.into(), Interest::READABLE) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "listener cannot be polled"),
    };
    loop {
        tokio::select! {
            biased;
            () = gone.started() => return,
            () = drain.started() => break,
            accepted = next(&listener) => match accepted {
                Ok((stream, from)) => serve(workers.least_loaded(), stream, from),
                Err(error) => pause(&error).await,
            },
        }
    }
    while let Ok((stream, from)) = take(listener.get_ref()) {
        serve(workers.least_loaded(), stream, from);
    }
}

async fn next(listener: &AsyncFd<OwnedFd>) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        let mut ready = listener.readable().await?;
        if let Ok(accepted) = ready.try_io(|listener| take(listener.get_ref())) {
            return accepted;
        }
    }
}

fn take(listener: &OwnedFd) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, from) = SockRef::from(listener).accept()?;
    let from = from.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok((stream.into(), from))
}

/// A connection reset before it was accepted is its client's affair; lack of descriptors or memory takes time to pass.
async fn pause(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
        return;
    }
    tracing::warn!(%error, "accept failed");
    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
}
