//! The server below the table.

use crate::admin::request::{AdminRequest, AdminResponse, text};
use crate::admin::{Admin, Handler};
use crate::lifecycle::DrainWatch;
use crate::limits;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// An admin server that has its port.
pub struct BoundAdmin {
    admin: Arc<Admin>,
    listener: TcpListener,
    address: SocketAddr,
}

impl BoundAdmin {
    pub(super) fn new(admin: Admin, listener: TcpListener) -> io::Result<Self> {
        Ok(Self { address: listener.local_addr()?, admin: Arc::new(admin), listener })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the drain starts, then finishes the requests in flight.
    pub async fn serve(self, drain: DrainWatch) {
        let slots = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut draining = pin!(drain.started());
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut draining => break,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((tcp, _)) => {
                    // One too many is closed at once: waiting would let idle clients keep the operator out unseen.
                    if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
                        let (admin, drain) = (Arc::clone(&self.admin), drain.clone());
                        connections.spawn(async move {
                            connection(tcp, admin, drain).await;
                            drop(slot);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, address = %self.address, "accept failed");
                    // Out of descriptors, most likely: it does not pass by asking again at once.
                    sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }
}

async fn connection(tcp: TcpStream, admin: Arc<Admin>, drain: DrainWatch) {
    let service = service_fn(move |request| {
        let admin = Arc::clone(&admin);
        async move { Ok::<_, Infallible>(respond(&admin, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::ADMIN_HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(tcp), service);
    let mut connection = pin!(connection);
    // Errors are the client's: it hung up, or it does not speak HTTP.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = drain.started() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn respond(admin: &Admin, request: Request<Incoming>) -> AdminResponse {
    let handler: Handler = match admin.find(request.method(), request.uri().path()) {
        Ok(handler) => handler,
        Err(answer) => return answer,
    };
    let (head, body) = request.into_parts();
    let body = timeout(limits::ADMIN_HEADER_TIMEOUT, Limited::new(body, limits::ADMIN_BODY).collect()).await;
    let Ok(Ok(body)) = body else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or came too slowly\n");
    };
    let request =
        AdminRequest { method: head.method, uri: head.uri, headers: head.headers, body: body.to_bytes() };
    handler(request).await
}
