//! Access logs on their way to services that take them: one queue a worker, and a task that empties it.
//!
//! Records are encoded when their request ends, so the queue is bounded in bytes. Differs from Envoy: each batch for
//! `StreamAccessLogs` is a stream of its own, which ends; then the service's answer says whether it was taken.

use super::collector::{self, Carriage, Counted, Exports};
use super::worker::Worker;
use crate::limits;
use futures::future::join_all;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use waypoint_core::model::log_service::{LogProtocol, LogService};
use waypoint_core::telemetry::otlp::logs;
use waypoint_core::telemetry::record::RequestRecord;
use waypoint_core::translate::log_entry;

/// Records of one worker that wait to be sent.
#[derive(Default)]
pub struct LogBatches {
    waiting: Mutex<Waiting>,
    /// A batch is long enough to go at once.
    full: Notify,
}

#[derive(Default)]
struct Waiting {
    batches: HashMap<u64, Batch>,
    bytes: usize,
}

struct Batch {
    service: Arc<LogService>,
    records: Vec<Vec<u8>>,
    bytes: usize,
}

impl LogBatches {
    /// Queues what `record` becomes.
    pub fn push(&self, service: &Arc<LogService>, record: &RequestRecord<'_>, exports: &Exports) {
        let message = match &service.protocol {
            LogProtocol::OpenTelemetry(log) => logs::record(log, record),
            LogProtocol::Http(log) => log_entry::http(log, record),
            LogProtocol::Tcp(log) => log_entry::tcp(log, record),
        };
        let length = message.len();
        let mut waiting = self.lock();
        if waiting.bytes + length > limits::LOGS_WAITING_BYTES {
            drop(waiting);
            return counted(service, exports).dropped(1);
        }
        waiting.bytes += length;
        let empty = || Batch { service: service.clone(), records: Vec::new(), bytes: 0 };
        let batch = waiting.batches.entry(service.content_hash).or_insert_with(empty);
        batch.records.push(message);
        batch.bytes += length;
        if batch.bytes >= service.batch_bytes {
            self.full.notify_one();
        }
    }

    fn take(&self) -> Vec<Batch> {
        let taken = std::mem::take(&mut *self.lock());
        taken.batches.into_values().flat_map(Batch::split).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// Into parts that a service takes: gRPC servers refuse messages beyond 4 MiB.
    fn split(self) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        for record in self.records {
            let length = record.len();
            let room = |part: &&mut Self| part.bytes + length <= limits::LOG_MESSAGE_BYTES;
            match parts.last_mut().filter(room) {
                Some(part) => {
                    part.bytes += length;
                    part.records.push(record);
                }
                None => {
                    let service = self.service.clone();
                    parts.push(Self { service, records: vec![record], bytes: length });
                }
            }
        }
        parts
    }
}

fn counted<'e>(service: &LogService, exports: &'e Exports) -> &'e Counted {
    match service.protocol {
        LogProtocol::OpenTelemetry(_) => &exports.otel_logs,
        LogProtocol::Http(_) | LogProtocol::Tcp(_) => &exports.grpc_logs,
    }
}

/// Sends what has gathered, for as long as the worker lives, and once more when the process leaves.
pub async fn export(worker: Arc<Worker>) {
    let mut tick = tokio::time::interval(limits::EXPORT_FLUSH);
    loop {
        let last = tokio::select! {
            () = worker.process.exports.leaving() => true,
            _ = tick.tick() => false,
            () = worker.log_batches.full.notified() => false,
        };
        let batches = worker.log_batches.take();
        join_all(batches.into_iter().map(|batch| send(&worker, batch))).await;
        if last {
            return;
        }
    }
}

async fn send(worker: &Arc<Worker>, batch: Batch) {
    let Batch { service, records, .. } = batch;
    let (process, count) = (&worker.process, records.len());
    let (body, carriage) = match &service.protocol {
        LogProtocol::OpenTelemetry(log) => {
            let carriage = if log.grpc { Carriage::Grpc } else { Carriage::Protobuf };
            (logs::batch(&service, log, &process.node, records), carriage)
        }
        LogProtocol::Http(_) => {
            (log_entry::batch(&service, &process.node, records, false), Carriage::GrpcStream)
        }
        LogProtocol::Tcp(_) => {
            (log_entry::batch(&service, &process.node, records, true), Carriage::GrpcStream)
        }
    };
    let result = collector::post(worker, &service.collector, body, carriage).await;
    counted(&service, &process.exports).batch(count, result, &service.collector.cluster);
}

#[cfg(test)]
mod tests;
