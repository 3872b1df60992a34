//! Sends finished spans to their collectors, in batches, from the worker that made them.
//!
//! Invariant: telemetry never waits and never holds a request up: what does not fit into the queue, or cannot be sent,
//! is dropped and counted.

use super::call::{self, Call};
use super::http::exchange::forward::Prepared;
use super::worker::Worker;
use crate::limits;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use waypoint_core::model::tracing::{Tracing, TracingProvider};
use waypoint_core::telemetry::span::{Service, Span, otlp, zipkin};

/// Spans of one worker that wait to be sent.
#[derive(Default)]
pub struct Spans {
    waiting: Mutex<Vec<(Arc<Tracing>, Span)>>,
    dropped: AtomicU64,
}

impl Spans {
    pub fn push(&self, tracing: &Arc<Tracing>, span: Span) {
        let mut waiting = self.lock();
        if waiting.len() < limits::SPANS_WAITING {
            waiting.push((tracing.clone(), span));
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One batch for each collector.
    fn take(&self) -> Vec<(Arc<Tracing>, Vec<Span>)> {
        let mut batches: HashMap<u64, (Arc<Tracing>, Vec<Span>)> = HashMap::new();
        for (tracing, span) in std::mem::take(&mut *self.lock()) {
            let batch = batches.entry(tracing.content_hash).or_insert_with(|| (tracing, Vec::new()));
            batch.1.push(span);
        }
        batches.into_values().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Arc<Tracing>, Span)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what has gathered, for as long as the worker lives.
pub async fn export(worker: Arc<Worker>) {
    let service = Service { name: worker.process.service_cluster.clone() };
    let mut tick = tokio::time::interval(limits::SPANS_FLUSH);
    loop {
        tick.tick().await;
        for (tracing, spans) in worker.spans.take() {
            if let Err(reason) = send(&worker, &tracing, &spans, &service).await {
                worker.spans.dropped.fetch_add(spans.len() as u64, Ordering::Relaxed);
                let cluster = &*tracing.provider.collector().cluster;
                let dropped = worker.spans.dropped.load(Ordering::Relaxed);
                tracing::debug!(cluster, reason, dropped, "spans are lost");
            }
        }
    }
}

async fn send(
    worker: &Arc<Worker>,
    tracing: &Tracing,
    spans: &[Span],
    service: &Service,
) -> Result<(), String> {
    let collector = tracing.provider.collector();
    let mut headers: HeaderMap = collector.headers.iter().cloned().collect();
    let (body, content_type, grpc) = body(&tracing.provider, spans, service);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if grpc {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let path = PathAndQuery::try_from(&*collector.path).map_err(|error| error.to_string())?;
    let call = Call {
        cluster: collector.cluster.clone(),
        prepared: Prepared::new(Method::POST, path, collector.authority.clone(), headers),
        body,
        always_http2: grpc,
        timeout: Some(collector.timeout.unwrap_or(limits::SPANS_TIMEOUT)),
        max_answer: limits::SPANS_ANSWER_BYTES,
    };
    let reply = call::call(worker, &worker.snapshot(), call).await.map_err(|error| error.to_string())?;
    if !reply.status.is_success() {
        return Err(reply.status.to_string());
    }
    let status = reply.trailers.as_ref().and_then(|trailers| trailers.get("grpc-status"));
    match status.or_else(|| reply.headers.get("grpc-status")) {
        Some(status) if grpc && status != "0" => Err(format!("grpc-status {status:?}")),
        _ => Ok(()),
    }
}

/// The bytes, their type, and whether they are gRPC.
fn body(provider: &TracingProvider, spans: &[Span], service: &Service) -> (Bytes, &'static str, bool) {
    match provider {
        TracingProvider::Zipkin(_) => (zipkin::batch(spans, service).into(), "application/json", false),
        TracingProvider::OpenTelemetry(otel) => {
            let named = Service { name: otel.service_name.clone() };
            let service = if named.name.is_empty() { service } else { &named };
            let message = otlp::batch(spans, service);
            if !otel.grpc {
                return (message.into(), "application/x-protobuf", false);
            }
            let mut framed = BytesMut::with_capacity(5 + message.len());
            framed.put_u8(0); // not compressed
            framed.put_u32(message.len() as u32);
            framed.extend_from_slice(&message);
            (framed.freeze(), "application/grpc", true)
        }
    }
}
