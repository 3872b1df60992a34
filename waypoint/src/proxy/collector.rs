//! Handing telemetry to the services that collect it: spans, log records.
//!
//! Invariant: telemetry never waits and never holds a request up: what does not fit into a queue, or cannot be sent, is
//! dropped and counted.

use super::call::{self, Call, grpc};
use super::http::exchange::forward::Prepared;
use super::worker::Worker;
use crate::limits;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waypoint_core::model::tracing::Collector;

/// What all workers share of it.
#[derive(Default)]
pub struct Exports {
    pub spans: Counted,
    pub otel_logs: Counted,
    pub grpc_logs: Counted,
    tasks: TaskTracker,
    leaving: CancellationToken,
}

/// What became of one kind of telemetry.
#[derive(Debug, Default)]
pub struct Counted {
    sent: AtomicU64,
    dropped: AtomicU64,
}

impl Counted {
    pub fn dropped(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// A batch of `count`, and how sending it went.
    pub fn batch(&self, count: usize, result: Result<(), String>, cluster: &str) {
        match result {
            Ok(()) => {
                self.sent.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(reason) => {
                self.dropped(count);
                tracing::debug!(cluster, reason, count, "telemetry is lost");
            }
        }
    }

    /// Taken by a collector, and lost.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

impl Exports {
    /// Runs an exporter on this worker.
    pub fn spawn(&self, exporter: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
        self.tasks.spawn(exporter)
    }

    /// Waits until the last flush.
    pub async fn leaving(&self) {
        self.leaving.cancelled().await;
    }

    /// The end: every exporter sends what it has, in bounded time.
    pub async fn flush(&self) {
        self.leaving.cancel();
        self.tasks.close();
        if tokio::time::timeout(limits::EXPORT_FAREWELL, self.tasks.wait()).await.is_err() {
            tracing::warn!("a collector did not take the last telemetry in time");
        }
    }
}

/// How a body is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    Json,
    Protobuf,
    /// One message of a call.
    Grpc,
    /// The only message of a stream to a service that reads until we end it. One that answers the end with UNKNOWN, as
    /// many do that never saw a stream end, has read it.
    GrpcStream,
}

/// # Errors
/// What a log should say when the collector has not taken it.
pub async fn post(
    worker: &Arc<Worker>,
    collector: &Collector,
    body: Vec<u8>,
    carriage: Carriage,
) -> Result<(), String> {
    let mut headers: HeaderMap = collector.headers.iter().cloned().collect();
    let (body, content_type, is_grpc) = match carriage {
        Carriage::Json => (body.into(), "application/json", false),
        Carriage::Protobuf => (body.into(), "application/x-protobuf", false),
        Carriage::Grpc | Carriage::GrpcStream => {
            (grpc::framed(&body).ok_or("longer than a message")?, "application/grpc", true)
        }
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if is_grpc {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let path = PathAndQuery::try_from(&*collector.path).map_err(|error| error.to_string())?;
    let call = Call {
        cluster: collector.cluster.clone(),
        prepared: Prepared::new(Method::POST, path, collector.authority.clone(), headers),
        body,
        always_http2: is_grpc,
        timeout: Some(collector.timeout.unwrap_or(limits::EXPORT_TIMEOUT)),
        max_answer: limits::EXPORT_ANSWER_BYTES,
    };
    let reply = call::call(worker, &worker.snapshot(), call).await.map_err(|error| error.to_string())?;
    if !reply.status.is_success() {
        return Err(reply.status.to_string());
    }
    let status = reply.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    match status.or_else(|| reply.headers.get("grpc-status")).map(HeaderValue::as_bytes) {
        Some(b"0") | None => Ok(()),
        Some(b"2") if carriage == Carriage::GrpcStream => Ok(()),
        Some(status) if is_grpc => Err(format!("grpc-status {}", String::from_utf8_lossy(status))),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
