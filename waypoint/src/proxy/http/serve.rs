//! The requests of one inner HTTP connection, one after the other (HTTP/1) or side by side (HTTP/2).
//!
//! Drain: an idle connection closes, a busy one after its answer; HTTP/2 clients get GOAWAY first.

use super::exchange::{self, After, unserved};
use super::h1::Http1Connection;
use super::h2::{self, Http2Session};
use super::head::{self, HeadRules, Refused};
use super::session::Session;
use crate::limits;
use crate::proxy::connection::Connection;
use crate::proxy::stream::{InnerStream, Shared};
use crate::proxy::upgrade::{self, Raw};
use http::HeaderValue;
use mesh::lifecycle::DrainWatch;
use std::sync::{Arc, OnceLock};
use tokio::io::AsyncWriteExt as _;
use waypoint_core::failure::Failure;
use waypoint_core::model::http_chain::{ForwardClientCert, HttpChain, PathNormalization};
use waypoint_core::model::listener::ChainBody;
use waypoint_core::store::Snapshot;

/// What serves the next request: a chain, or the reason why there is none.
struct Serving {
    snapshot: Arc<Snapshot>,
    chain: Arc<HttpChain>,
    refused: Option<Failure>,
}

impl Serving {
    fn now(connection: &Connection) -> Self {
        let (snapshot, chain) = connection.chain();
        let (chain, refused) = match chain.as_ref().map(|chain| &chain.body) {
            Some(ChainBody::Http(chain)) => {
                (chain.clone(), chain.refusal.as_ref().map(|refusal| &refusal.details))
            }
            Some(ChainBody::Refused(refusal)) => (no_chain(), Some(&refusal.details)),
            // The target is gone, or became a TCP port under an HTTP connection.
            Some(ChainBody::Tcp(_)) | None => {
                return Self { snapshot, chain: no_chain(), refused: Some(unserved()) };
            }
        };
        // Where the waypoint's own listener is refused the chain still logs, and that is all it does.
        let terminate = snapshot.connect_terminate.as_ref().and_then(|terminate| terminate.refusal.as_ref());
        let details = terminate.map(|refusal| &refusal.details).or(refused);
        let refused = details.map(|details| Failure::refused(details));
        Self { snapshot, chain, refused }
    }

    fn check<T>(&self, head: Result<T, Refused>) -> Result<T, Refused> {
        match &self.refused {
            Some(refused) => head.and(Err(refused.clone().into())),
            None => head,
        }
    }
}

/// A chain without routes, for answers where there is no chain.
pub(super) fn no_chain() -> Arc<HttpChain> {
    static CHAIN: OnceLock<Arc<HttpChain>> = OnceLock::new();
    let make = || HttpChain {
        stat_prefix: "unserved".into(),
        refusal: None,
        server: Some(HeaderValue::from_static("istio-envoy")),
        path_normalization: PathNormalization::default(),
        accept_http_10: false,
        preserve_header_case: false,
        max_request_headers_bytes: 60 << 10,
        max_request_headers_count: 100,
        idle_timeout: None,
        stream_idle_timeout: None,
        request_timeout: None,
        upgrades: Vec::new(),
        allow_connect: false,
        generate_request_id: true,
        forward_client_cert: ForwardClientCert::Sanitize,
        append_x_forwarded_port: false,
        filters: Vec::new(),
        routes: Arc::default(),
        access_logs: Vec::new(),
        tracing: None,
        names_operation: false,
    };
    CHAIN.get_or_init(|| Arc::new(make())).clone()
}

/// HTTP/1: requests in order.
pub async fn http1(stream: InnerStream, connection: &Connection) {
    let idle = Serving::now(connection).chain.idle_timeout.unwrap_or(limits::DOWNSTREAM_IDLE);
    let drain = connection.worker.process.drain.clone();
    let stream = Shared::new(stream);
    let mut waiting = Http1Connection::new(stream.clone(), idle);
    loop {
        // What the bytes of a head may fill while they come; the chain of the moment they are complete judges them.
        let limit = HeadRules::of(&Serving::now(connection).chain).bytes;
        let next = tokio::select! {
            biased;
            next = waiting.next(limit) => next,
            () = idle_in_drain(&drain) => None,
        };
        let Some(mut session) = next else { return close(stream).await };
        let serving = Serving::now(connection);
        let head = session.take_head(HeadRules::of(&serving.chain)).await;
        let head = serving.check(head.map_err(Into::into));
        if drain.is_started() || serving.refused.is_some() {
            super::session::Response::close_after(session.halves().1);
        }
        let has_body = session.has_body();
        match exchange::run(&mut session, head, has_body, connection, (serving.snapshot, serving.chain)).await
        {
            After::Done => match session.finish().await {
                Some(next) => waiting = next,
                None => return,
            },
            After::Upgrade(upgraded) => {
                let Some(raw) = session.into_raw().await else { return };
                return upgrade::join(*upgraded, raw.into(), connection).await;
            }
        }
    }
}

/// A drain has begun, and time has passed for a request that was already on its way.
async fn idle_in_drain(drain: &DrainWatch) {
    drain.started().await;
    tokio::time::sleep(limits::DRAIN_IDLE).await;
}

async fn close(mut stream: Shared) {
    let _ = stream.shutdown().await; // a client that left first needs no goodbye
}

/// HTTP/2: requests side by side, each a task on this worker.
pub async fn http2(stream: InnerStream, connection: Arc<Connection>) {
    let chain = Serving::now(&connection).chain;
    let builder = h2::builder(chain.max_request_headers_bytes, chain.allow_connect);
    let Ok(mut inner) = builder.handshake(stream).await else { return };
    let drain = connection.worker.process.drain.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = inner.accept() => accepted,
            () = drain.started(), if !drain.is_started() => {
                inner.graceful_shutdown();
                continue;
            }
        };
        let (request, respond) = match accepted {
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                tracing::debug!(%error, "inner HTTP/2 connection");
                return;
            }
            None => return,
        };
        let connection = connection.clone();
        tokio::spawn(async move {
            let serving = Serving::now(&connection);
            let (parts, body) = request.into_parts();
            let mut session = Http2Session::new(body, respond);
            let head = serving.check(head::http2(parts, HeadRules::of(&serving.chain)));
            // What an extended CONNECT sends is no body: it waits for the answer.
            let upgrades = head.as_ref().is_ok_and(|head| head.upgrade.is_some());
            let has_body = session.has_body() && !upgrades;
            let chain = (serving.snapshot, serving.chain);
            match exchange::run(&mut session, head, has_body, &connection, chain).await {
                After::Done => session.finish().await,
                After::Upgrade(upgraded) => {
                    let Some(raw) = session.into_raw() else { return };
                    upgrade::join(*upgraded, Raw::Http2(raw), &connection).await;
                }
            }
        });
    }
}
