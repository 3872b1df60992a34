//! From a CONNECT to the protocol inside it: who may open it, which chain serves it, what the client speaks.
//!
//! The answer never waits for an upstream: 200 says that a chain serves the target. Failures behind it show inside.

use super::admission::{NotAdmitted, admit};
use super::connection::{Connection, Tunnel};
use super::http::session::ResponseHead;
use super::http::{reply, serve};
use super::refused;
use super::sni::{self, Hello};
use super::sniff::{self, Verdict, Wanted};
use super::stream::{InnerStream, Rewind, refuse};
use super::tcp;
use super::worker::Worker;
use crate::limits;
use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, StatusCode};
use mesh::hbone::{ConnectStream, TunnelStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use waypoint_core::model::listener::{ApplicationProtocol, ChainBody, FilterChain};
use waypoint_core::store::{ChainDecision, Snapshot, Sniffed};

/// Counts as an open tunnel: what a drain waits for.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn count(worker: &Worker) -> Self {
        let tunnels = worker.process.tunnels.clone();
        tunnels.fetch_add(1, Ordering::Relaxed);
        Self(tunnels)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes one CONNECT; everything else happens in its own task.
pub fn open(worker: &Arc<Worker>, connect: ConnectStream) {
    let worker = worker.clone();
    tokio::spawn(async move {
        let _open = Open::count(&worker);
        run(worker, connect).await;
    });
}

async fn run(worker: Arc<Worker>, connect: ConnectStream) {
    let tunnel = describe(&connect);
    let snapshot = worker.snapshot();
    if let Err(NotAdmitted { status, headers, reason }) =
        admit(&worker, &snapshot, &tunnel, connect.peer().local)
    {
        tracing::info!(source = %tunnel.source, target = &*tunnel.authority, %reason, "tunnel refused");
        refused::connect(&worker, &snapshot, &tunnel, status, &reason);
        return connect.refuse(status, headers);
    }
    let decision = snapshot.chain(&tunnel.as_target(), Sniffed::NotYet);
    if let Some(refusal) = unhonoured(&snapshot, &decision) {
        tracing::info!(source = %tunnel.source, target = &*tunnel.authority, reason = refusal, "tunnel refused");
        refused::connect(&worker, &snapshot, &tunnel, StatusCode::SERVICE_UNAVAILABLE, refusal);
        return connect.refuse(StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new());
    }
    if matches!(decision, ChainDecision::None) && !is_inspected(&snapshot, &tunnel) {
        tracing::info!(source = %tunnel.source, target = &*tunnel.authority, "no filter chain serves this target");
        refused::unmatched(&worker, &snapshot, &tunnel);
        refused::connect(&worker, &snapshot, &tunnel, StatusCode::SERVICE_UNAVAILABLE, refused::NO_CHAIN);
        return connect.refuse(StatusCode::SERVICE_UNAVAILABLE, HeaderMap::new());
    }
    let mut stream = match connect.accept(stamped()) {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "CONNECT"),
    };
    match decision {
        ChainDecision::Chain(chain) => {
            serve_chain(worker, tunnel, (Rewind::new(bytes::Bytes::new(), stream), Sniffed::NotYet), &chain)
                .await;
        }
        ChainDecision::NeedProtocol { http, tls } => {
            serve_sniffed(worker, tunnel, stream, Wanted { http, tls }).await;
        }
        // Envoy: an inspector runs for this port, so the refusal comes only after the 200 and the client's first bytes.
        ChainDecision::None => {
            let mut first = [0];
            let _ = timeout(limits::SNIFF_TIMEOUT, stream.read(&mut first)).await; // refused whatever it is
            refused::unmatched(&worker, &snapshot, &tunnel);
            refuse(Rewind::new(bytes::Bytes::new(), stream)).await;
        }
    }
}

fn describe(connect: &ConnectStream) -> Tunnel {
    let peer = connect.peer();
    Tunnel {
        start: SystemTime::now(),
        source: peer.remote,
        principal: peer.identity.as_ref().map(|identity| Arc::from(identity.as_str())),
        target: connect.authority().parse().ok(),
        authority: connect.authority().into(),
        sni: None,
    }
}

/// A `connect_terminate` that cannot be honoured refuses every tunnel; where HTTP is spoken inside, each request is
/// refused instead, so that clients get to read why.
fn unhonoured<'s>(snapshot: &'s Snapshot, decision: &ChainDecision) -> Option<&'s str> {
    let refusal = snapshot.connect_terminate.as_ref()?.refusal.as_ref()?;
    let readable = matches!(decision, ChainDecision::Chain(chain) if speaks_http(chain));
    (!readable).then_some(&*refusal.details)
}

/// What a refused chain would have served is in its name.
fn speaks_http(chain: &FilterChain) -> bool {
    match &chain.body {
        ChainBody::Http(_) => true,
        ChainBody::Tcp(_) => false,
        ChainBody::Refused(_) => chain.name.contains("|http|") || &*chain.name == "direct-http",
    }
}

fn is_inspected(snapshot: &Snapshot, tunnel: &Tunnel) -> bool {
    let Some(target) = tunnel.target else { return false };
    let Some(listener) = &snapshot.main_internal else { return false };
    let ports = [&listener.inspectors.http, &listener.inspectors.tls];
    ports.into_iter().flatten().any(|ports| ports.contains(target.port()))
}

async fn serve_sniffed(worker: Arc<Worker>, tunnel: Tunnel, mut stream: TunnelStream, wanted: Wanted) {
    let mut seen = BytesMut::with_capacity(1024);
    let looking = look(&mut stream, &mut seen, wanted);
    // Differs from Envoy, which resets after 15 s of silence: a server-first protocol gets its TCP chain instead.
    let sniffed = match timeout(limits::SNIFF_TIMEOUT, looking).await {
        Ok(Ok(sniffed)) => sniffed,
        Ok(Err(error)) => return tracing::debug!(%error, "client left before it showed its protocol"),
        Err(_) => Sniffed::Unknown,
    };
    let snapshot = worker.snapshot();
    let inner = Rewind::new(seen.freeze(), stream);
    match snapshot.chain(&tunnel.as_target(), sniffed) {
        ChainDecision::Chain(chain) => serve_chain(worker, tunnel, (inner, sniffed), &chain).await,
        _ => {
            refused::unmatched(&worker, &snapshot, &tunnel);
            refuse(inner).await;
        }
    }
}

async fn look(stream: &mut TunnelStream, seen: &mut BytesMut, wanted: Wanted) -> std::io::Result<Sniffed> {
    loop {
        match sniff::look(seen, wanted) {
            Verdict::Protocol(protocol) => return Ok(Sniffed::Protocol(protocol)),
            Verdict::Other => return Ok(Sniffed::Unknown),
            Verdict::More if seen.len() >= limits::SNIFF_BYTES => return Ok(Sniffed::Unknown),
            Verdict::More => {}
        }
        if stream.read_buf(seen).await? == 0 {
            return Ok(Sniffed::Unknown);
        }
    }
}

/// `server` and `date`, as Envoy's 200 carries them.
fn stamped() -> HeaderMap {
    let mut head = ResponseHead::new(StatusCode::OK);
    reply::stamp(&mut head, Some(&HeaderValue::from_static("istio-envoy")));
    head.headers
}

/// Reads the server name of a TLS client where the TLS inspector runs: policies and logs may ask for it.
async fn inspect_tls(
    mut stream: InnerStream,
    tunnel: &mut Tunnel,
    snapshot: &Snapshot,
) -> Option<InnerStream> {
    let inspectors = snapshot.main_internal.as_ref().map(|listener| &listener.inspectors);
    let inspected = inspectors.and_then(|inspectors| inspectors.tls.as_ref());
    if !inspected.is_some_and(|ports| ports.contains(tunnel.destination().port())) {
        return Some(stream);
    }
    let mut seen = BytesMut::with_capacity(2048);
    let reading = async {
        loop {
            match sni::look(&seen) {
                Hello::More if seen.len() < limits::SNIFF_BYTES => {}
                Hello::More | Hello::Other => return Ok(None),
                Hello::Name(name) => return Ok(name),
            }
            if stream.read_buf(&mut seen).await? == 0 {
                return Ok::<_, std::io::Error>(None);
            }
        }
    };
    // Differs from Envoy, which resets after 15 s of silence: a server may speak first here too.
    tunnel.sni = timeout(limits::SNIFF_TIMEOUT, reading).await.unwrap_or(Ok(None)).ok()?;
    Some(stream.unread(seen.freeze()))
}

async fn serve_chain(
    worker: Arc<Worker>,
    mut tunnel: Tunnel,
    (stream, sniffed): (InnerStream, Sniffed),
    chain: &FilterChain,
) {
    let stream = match &chain.body {
        ChainBody::Tcp(_) => inspect_tls(stream, &mut tunnel, &worker.snapshot()).await,
        _ => Some(stream),
    };
    let Some(stream) = stream else { return };
    let connection = Arc::new(Connection::new(worker, tunnel, sniffed));
    match &chain.body {
        ChainBody::Tcp(body) => tcp::serve(stream, &connection, chain, body).await,
        _ if speaks_http(chain) => serve_http(stream, connection, sniffed).await,
        _ => {
            tracing::info!(chain = &*chain.name, "connection refused: its filter chain cannot be honoured");
            refuse(stream).await;
        }
    }
}

/// HTTP/1 or HTTP/2, told by the first bytes: a declared HTTP port takes both. Envoy: `codec_type: AUTO`.
async fn serve_http(stream: InnerStream, connection: Arc<Connection>, sniffed: Sniffed) {
    match sniffed {
        Sniffed::Protocol(ApplicationProtocol::H2c) => serve::http2(stream, connection).await,
        Sniffed::Protocol(_) => serve::http1(stream, &connection).await,
        Sniffed::NotYet | Sniffed::Unknown => match read_codec(stream).await {
            Some((stream, true)) => serve::http2(stream, connection).await,
            Some((stream, false)) => serve::http1(stream, &connection).await,
            None => {}
        },
    }
}

/// Reads until the HTTP/2 preface is there or ruled out; the first byte nearly always decides.
async fn read_codec(mut stream: InnerStream) -> Option<(InnerStream, bool)> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut seen = BytesMut::with_capacity(4096);
    loop {
        let common = seen.len().min(PREFACE.len());
        if common > 0 && seen[..common] != PREFACE[..common] {
            return Some((stream.unread(seen.freeze()), false));
        }
        if common == PREFACE.len() {
            return Some((stream.unread(seen.freeze()), true));
        }
        if stream.read_buf(&mut seen).await.ok()? == 0 {
            if seen.is_empty() {
                let _ = stream.shutdown().await; // a tunnel nobody used ends as quietly as it was opened
                return None;
            }
            return Some((stream.unread(seen.freeze()), false));
        }
    }
}
