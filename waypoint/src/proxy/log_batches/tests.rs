use super::*;
use http::HeaderValue;
use std::time::UNIX_EPOCH;
use waypoint_core::model::log_service::{EntryLog, OtelLog};
use waypoint_core::model::tracing::Collector;

fn service(content_hash: u64, batch_bytes: usize, protocol: LogProtocol) -> Arc<LogService> {
    let collector = Collector {
        cluster: "c".into(),
        authority: HeaderValue::from_static("c"),
        path: "/".into(),
        headers: Vec::new(),
        timeout: None,
    };
    Arc::new(LogService { content_hash, collector, log_name: "l".into(), batch_bytes, protocol })
}

fn otel() -> LogProtocol {
    LogProtocol::OpenTelemetry(OtelLog {
        grpc: true,
        body: None,
        attributes: Vec::new(),
        resource: Vec::new(),
        builtin_labels: false,
        tags: Vec::new(),
    })
}

#[tokio::test]
async fn a_long_batch_goes_at_once_and_each_service_has_its_own() {
    let (batches, exports) = (LogBatches::default(), Exports::default());
    let (one, other) = (service(1, 30, otel()), service(2, 1 << 20, LogProtocol::Http(EntryLog::default())));
    let record = RequestRecord::new(UNIX_EPOCH);
    let fields = |record| batches.push(&other, record, &exports);
    fields(&record);
    let pending = tokio::time::timeout(std::time::Duration::ZERO, batches.full.notified()).await;
    assert!(pending.is_err(), "far from full");
    let late = RequestRecord::new(UNIX_EPOCH + std::time::Duration::from_secs(1));
    for _ in 0..4 {
        batches.push(&one, &late, &exports);
    }
    batches.full.notified().await;
    let mut taken: Vec<_> =
        batches.take().iter().map(|batch| (batch.service.content_hash, batch.records.len())).collect();
    taken.sort_unstable();
    assert_eq!(taken, [(1, 4), (2, 1)]);
    assert!(batches.take().is_empty());
}

#[test]
fn what_does_not_fit_is_counted() {
    let (batches, exports) = (LogBatches::default(), Exports::default());
    let service = service(1, usize::MAX, otel());
    batches.lock().bytes = limits::LOGS_WAITING_BYTES;
    let late = RequestRecord::new(UNIX_EPOCH + std::time::Duration::from_secs(1));
    batches.push(&service, &late, &exports);
    assert_eq!((exports.otel_logs.totals(), exports.grpc_logs.totals()), ((0, 1), (0, 0)));
    // What was taken makes room.
    batches.take();
    batches.push(&service, &late, &exports);
    assert_eq!(batches.take()[0].records.len(), 1);
}

#[test]
fn messages_stay_below_what_servers_take() {
    let service = service(1, usize::MAX, otel());
    let third = limits::LOG_MESSAGE_BYTES / 3;
    let records = vec![vec![0; third]; 7];
    let parts = Batch { service, bytes: 7 * third, records }.split();
    let lengths: Vec<usize> = parts.iter().map(|part| part.records.len()).collect();
    assert_eq!(lengths, [3, 3, 1]);
}
