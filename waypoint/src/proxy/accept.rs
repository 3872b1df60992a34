//! Port 15008: one acceptor, many workers.
//!
//! A few ztunnels open a few long-lived connections, so the kernel's spreading over SO_REUSEPORT sockets would leave
//! workers idle. The acceptor gives each connection to the worker with the fewest instead.

use super::tunnel;
use super::worker::{Worker, WorkerHandle};
use mesh::hbone::{Peer, ServerOptions};
use mesh::lifecycle::DrainWatch;
use mesh::tls::ExpectedPeer;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;

/// Accepts until dropped: during a drain new tunnels are still served, for clients that have not heard yet.
pub async fn run(listener: TcpListener, workers: Arc<[WorkerHandle]>) {
    loop {
        let stream = match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => stream,
            Err(error) => {
                // Out of descriptors or memory: accepting at once again would only spin.
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(worker) = workers.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed)) else {
            return;
        };
        worker.load.fetch_add(1, Ordering::Relaxed);
        if worker.connections.send(stream).await.is_err() {
            return;
        }
    }
}

/// One connection on its worker: TLS, then tunnels until both sides are done.
pub(super) async fn serve(worker: &Arc<Worker>, stream: TcpStream) {
    let peer = stream.peer_addr();
    if let Err(error) = handshake_and_serve(worker, stream).await {
        tracing::debug!(peer = ?peer.ok(), %error, "inbound connection");
    }
}

async fn handshake_and_serve(worker: &Arc<Worker>, stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nonblocking(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    stream.set_nodelay(true)?;
    let (remote, local) = (canonical(stream.peer_addr()?), canonical(stream.local_addr()?));
    let process = &worker.process;
    let identity = process.secrets.identity(&process.identity).await?;
    let config = identity.server_config_accepting(&accepted(worker))?;
    let (stream, client) = mesh::tls::accept(config, stream).await?;
    let peer = Peer { remote, local, identity: Some(client) };
    let watch: DrainWatch = process.drain.clone();
    let worker = worker.clone();
    mesh::hbone::serve(stream, peer, &ServerOptions::default(), watch, move |connect| {
        tunnel::open(&worker, connect);
    })
    .await?;
    Ok(())
}

/// Whose certificates are taken: the trust domains istiod lists, else any identity our roots vouch for.
fn accepted(worker: &Worker) -> ExpectedPeer {
    let snapshot = worker.snapshot();
    let prefixes = snapshot.connect_terminate.as_ref().map(|terminate| &terminate.accepted_san_prefixes);
    match prefixes {
        Some(prefixes) if !prefixes.is_empty() => ExpectedPeer::UriPrefixes(prefixes.as_slice().into()),
        _ => ExpectedPeer::UriPrefixes([Arc::from("spiffe://")].into()),
    }
}

fn canonical(address: std::net::SocketAddr) -> std::net::SocketAddr {
    std::net::SocketAddr::new(address.ip().to_canonical(), address.port())
}
