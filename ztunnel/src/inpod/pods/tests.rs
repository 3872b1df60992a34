use crate::inpod::pods::{PodState, Pods, Snapshot, Start};
use crate::inpod::protocol::{Message, ProtocolError, WorkloadInfo};
use crate::sockets::Namespace;
use crate::telemetry::Metrics;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Writes down what is started and stopped; fails while told to.
#[derive(Clone, Default)]
struct Diary {
    lines: Arc<Mutex<Vec<String>>>,
    failing: Arc<AtomicBool>,
}

impl Diary {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

impl Start for Diary {
    type Proxy = String;

    async fn start(&self, uid: &str, _: &WorkloadInfo, _: Arc<Namespace>) -> Result<String, String> {
        if self.failing.load(Ordering::Relaxed) {
            return Err("failure to start proxy".into());
        }
        self.lines.lock().unwrap().push(format!("start {uid}"));
        Ok(uid.to_owned())
    }

    fn stop(&self, proxy: String) {
        self.lines.lock().unwrap().push(format!("stop {proxy}"));
    }
}

struct Fixture {
    diary: Diary,
    pods: Pods<Diary>,
    snapshot: Snapshot,
}

impl Fixture {
    fn new() -> Self {
        let diary = Diary::default();
        Self {
            diary: diary.clone(),
            pods: Pods::new(diary, Metrics::new("test")),
            snapshot: Snapshot::default(),
        }
    }

    /// A new connection to istio-cni.
    fn reconnect(&mut self) {
        self.snapshot = Snapshot::default();
    }

    async fn apply(&mut self, message: Message) -> Result<Result<(), String>, ProtocolError> {
        self.pods.apply(message, &mut self.snapshot).await
    }

    async fn ok(&mut self, message: Message, expect: &[&str]) {
        assert_eq!(self.apply(message).await, Ok(Ok(())));
        assert_eq!(self.diary.take(), expect);
    }
}

/// Any two files differ as two namespaces do.
fn add(uid: &str, netns: &str) -> Message {
    let info = WorkloadInfo { name: "cart".into(), namespace: "shop".into(), service_account: "sa".into() };
    Message::Add { uid: uid.into(), info, netns: File::open(netns).unwrap().into() }
}

fn keep(uid: &str) -> Message {
    Message::Keep { uid: uid.into() }
}

fn delete(uid: &str) -> Message {
    Message::Delete { uid: uid.into() }
}

#[tokio::test]
async fn a_pod_is_started_once_per_namespace() {
    let mut it = Fixture::new();
    it.ok(add("a", "/dev/null"), &["start a"]).await;
    it.ok(add("a", "/dev/null"), &[]).await;
    it.ok(add("a", "/dev/zero"), &["stop a", "start a"]).await;
    it.ok(delete("a"), &["stop a"]).await;
    it.ok(delete("a"), &[]).await;
}

#[tokio::test]
async fn a_new_snapshot_removes_what_it_does_not_mention() {
    let mut it = Fixture::new();
    for uid in ["a", "b", "c"] {
        it.ok(add(uid, "/dev/null"), &[&*format!("start {uid}")]).await;
    }
    it.ok(Message::SnapshotSent, &[]).await;
    it.reconnect();
    it.ok(add("a", "/dev/null"), &[]).await;
    it.ok(keep("b"), &[]).await;
    it.ok(Message::SnapshotSent, &["stop c"]).await;
    assert_eq!(it.apply(keep("b")).await, Err(ProtocolError::AfterSnapshot("keep")));
    assert_eq!(it.apply(Message::SnapshotSent).await, Err(ProtocolError::AfterSnapshot("a second snapshot")));
}

#[tokio::test]
async fn what_could_not_start_is_kept_and_tried_again() {
    let mut it = Fixture::new();
    it.diary.failing.store(true, Ordering::Relaxed);
    assert_eq!(it.apply(add("a", "/dev/null")).await, Ok(Err("failure to start proxy".into())));
    assert!(!it.pods.is_settled());
    assert_eq!(it.pods.views()[0].state, PodState::Pending);
    assert!(!it.pods.retry().await);
    it.diary.failing.store(false, Ordering::Relaxed);
    assert!(it.pods.retry().await);
    assert_eq!(it.diary.take(), ["start a"]);
    assert_eq!(it.pods.views()[0].state, PodState::Up);
}
