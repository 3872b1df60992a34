use super::*;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

#[tokio::test]
async fn leaving_waits_for_every_exporter() {
    let exports = Arc::new(Exports::default());
    let flushed: [Arc<AtomicBool>; 2] = Default::default();
    for flushed in flushed.clone() {
        let shared = exports.clone();
        exports.spawn(async move {
            shared.leaving().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            flushed.store(true, Ordering::SeqCst);
        });
    }
    exports.flush().await;
    assert!(flushed.iter().all(|flushed| flushed.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn a_collector_that_hangs_does_not_keep_the_process() {
    let exports = Exports::default();
    let hanging = exports.spawn(std::future::pending());
    let begun = Instant::now();
    exports.flush().await;
    assert!(begun.elapsed() >= limits::EXPORT_FAREWELL && !hanging.is_finished());
}

#[test]
fn batches_are_counted_by_how_they_went() {
    let counted = Counted::default();
    counted.batch(3, Ok(()), "c");
    counted.batch(2, Err("503".into()), "c");
    counted.dropped(1);
    assert_eq!(counted.totals(), (3, 3));
}
