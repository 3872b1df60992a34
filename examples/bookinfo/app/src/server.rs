//! Accepts HTTP/1.1 and cleartext HTTP/2 connections and leads each request to the chosen service.
//!
//! On SIGTERM it stops accepting, finishes the requests it has, and ends: what Kubernetes expects of a program
//! that is to be replaced without a failed request.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::reply::{Asked, Reply, with_type};

/// A request body larger than this is refused; the largest the sample sends is a ratings object of some bytes.
const MAX_BODY: usize = 1 << 20;
/// How long requests in progress may take after SIGTERM; below Kubernetes' grace of 30 s.
const DRAIN: Duration = Duration::from_secs(25);

pub(crate) enum Service {
    Productpage(crate::productpage::Productpage),
    Details,
    Ratings(crate::ratings::Ratings),
    Reviews(crate::reviews::Reviews),
    Echo(crate::echo::Echo),
}

impl Service {
    async fn answer(&self, asked: &Asked) -> Reply {
        match self {
            Self::Productpage(p) => p.answer(asked).await,
            Self::Details => crate::details::answer(asked),
            Self::Ratings(r) => r.answer(asked).await,
            Self::Reviews(r) => r.answer(asked).await,
            Self::Echo(e) => e.answer(asked).await,
        }
    }
}

pub(crate) async fn run(service: Service, port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    let mut term = signal(SignalKind::terminate())?;
    let (service, graceful) = (Arc::new(service), GracefulShutdown::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => spawn_connection(stream, Arc::clone(&service), &graceful),
                // Out of file descriptors, mostly: waiting lets connections end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            _ = term.recv() => break,
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        eprintln!("ended with requests in progress after {DRAIN:?}");
    }
    Ok(())
}

fn spawn_connection(stream: TcpStream, service: Arc<Service>, graceful: &GracefulShutdown) {
    if stream.set_nodelay(true).is_err() {
        return; // reset before we looked at it
    }
    let watcher = graceful.watcher();
    tokio::spawn(async move {
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let service = Arc::clone(&service);
            async move { Ok::<_, Infallible>(exchange(&service, request).await) }
        });
        let builder = auto::Builder::new(TokioExecutor::new());
        let connection =
            pin!(watcher.watch(builder.serve_connection(TokioIo::new(stream), answer).into_owned()));
        // A connection's failure is its client's to see; there is nothing left to answer.
        let _ = connection.await;
    });
}

async fn exchange(service: &Service, request: hyper::Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return with_type(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", Bytes::new());
    };
    let asked = hyper::Request::from_parts(head, body.to_bytes());
    let reply = service.answer(&asked).await;
    eprintln!("{} {} {}", asked.method(), asked.uri(), reply.status().as_u16());
    reply
}
