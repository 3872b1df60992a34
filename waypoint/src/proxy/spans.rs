//! Sends finished spans to their collectors, in batches, from the worker that made them.

use super::collector::{self, Carriage};
use super::worker::Worker;
use crate::limits;
use futures::future::join_all;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use waypoint_core::model::tracing::{Tracing, TracingProvider};
use waypoint_core::telemetry::span::{Service, Span, otlp, zipkin};

/// Spans of one worker that wait to be sent.
#[derive(Default)]
pub struct Spans {
    waiting: Mutex<Vec<(Arc<Tracing>, Span)>>,
}

impl Spans {
    /// False: there is no room.
    #[must_use]
    pub fn push(&self, tracing: &Arc<Tracing>, span: Span) -> bool {
        let mut waiting = self.lock();
        let room = waiting.len() < limits::SPANS_WAITING;
        if room {
            waiting.push((tracing.clone(), span));
        }
        room
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

/// Sends what has gathered, for as long as the worker lives, and once more when the process leaves.
pub async fn export(worker: Arc<Worker>) {
    let mut tick = tokio::time::interval(limits::EXPORT_FLUSH);
    loop {
        let last = tokio::select! {
            () = worker.process.exports.leaving() => true,
            _ = tick.tick() => false,
        };
        let batches = worker.spans.take();
        join_all(batches.iter().map(|(tracing, spans)| send(&worker, tracing, spans))).await;
        if last {
            return;
        }
    }
}

async fn send(worker: &Arc<Worker>, tracing: &Tracing, spans: &[Span]) {
    let service = Service { name: worker.process.service_cluster.clone() };
    let (body, carriage) = match &tracing.provider {
        TracingProvider::Zipkin(_) => (zipkin::batch(spans, &service), Carriage::Json),
        TracingProvider::OpenTelemetry(otel) => {
            let named = Service { name: otel.service_name.clone() };
            let service = if named.name.is_empty() { &service } else { &named };
            let carriage = if otel.grpc { Carriage::Grpc } else { Carriage::Protobuf };
            (otlp::batch(spans, service), carriage)
        }
    };
    let collector = tracing.provider.collector();
    let result = collector::post(worker, collector, body, carriage).await;
    worker.process.exports.spans.batch(spans.len(), result, &collector.cluster);
}
