//! Where access log lines go: one writer thread per file, so that a slow disk or pipe never holds a request up.
//!
//! Lines wait in a bounded queue; when it is full the newest are dropped and counted, as Envoy does.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use waypoint_core::model::access_log::AccessLogSink;

/// Lines that may wait for one file.
const QUEUE: usize = 10_000;

enum Message {
    Line(String),
    Flush(SyncSender<()>),
}

/// All open sinks. Cheap to clone.
#[derive(Clone, Default)]
pub struct LogSinks {
    open: Arc<RwLock<HashMap<Target, SyncSender<Message>>>>,
    opening: Arc<Mutex<()>>,
    dropped: Arc<AtomicU64>,
}

/// A sink by what it writes to: `/dev/stdout` and stdout are one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Target {
    Stdout,
    Stderr,
    File(Arc<str>),
}

impl Target {
    fn of(sink: &AccessLogSink) -> Self {
        match sink {
            AccessLogSink::Stdout => Self::Stdout,
            AccessLogSink::Stderr => Self::Stderr,
            AccessLogSink::File(path) => match &**path {
                "/dev/stdout" => Self::Stdout,
                "/dev/stderr" => Self::Stderr,
                _ => Self::File(path.clone()),
            },
        }
    }

    fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::Stderr => Box::new(io::stderr()),
            Self::File(path) => Box::new(OpenOptions::new().create(true).append(true).open(&**path)?),
        })
    }
}

impl LogSinks {
    /// Queues one line, its line end included.
    pub fn write(&self, sink: &AccessLogSink, line: String) {
        let target = Target::of(sink);
        let queue = self.open.read().unwrap_or_else(PoisonError::into_inner).get(&target).cloned();
        let Some(queue) = queue.or_else(|| self.start(target)) else { return };
        if queue.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines lost because a sink was slower than the traffic.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything queued so far is written. Blocks; for the end of the process.
    pub fn flush(&self) {
        let queues: Vec<_> =
            self.open.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for queue in queues {
            let (done, wait) = sync_channel(1);
            if queue.send(Message::Flush(done)).is_ok() {
                let _ = wait.recv(); // the writer is gone: nothing left to wait for
            }
        }
    }

    fn start(&self, target: Target) -> Option<SyncSender<Message>> {
        let _one_at_a_time = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = self.open.read().unwrap_or_else(PoisonError::into_inner).get(&target) {
            return Some(queue.clone());
        }
        let (queue, lines) = sync_channel(QUEUE);
        let started = target.open().and_then(|file| {
            std::thread::Builder::new()
                .name("access-log".into())
                .spawn(move || drain(&lines, file))
                .map(|_| ())
        });
        if let Err(error) = started {
            tracing::error!(sink = ?target, %error, "access log cannot be written");
            // A queue nobody reads: later lines are counted as dropped instead of retrying the open per request.
        }
        self.open.write().unwrap_or_else(PoisonError::into_inner).insert(target, queue.clone());
        Some(queue)
    }
}

fn drain(lines: &Receiver<Message>, mut file: Box<dyn Write + Send>) {
    let mut batch = Vec::with_capacity(64 << 10);
    while let Ok(first) = lines.recv() {
        let mut waiting = Vec::new();
        for message in std::iter::once(first).chain(lines.try_iter().take(256)) {
            match message {
                Message::Line(line) => batch.extend_from_slice(line.as_bytes()),
                Message::Flush(done) => waiting.push(done),
            }
        }
        // A reader of stdout that went away must not end the proxy.
        let _ = file.write_all(&batch).and_then(|()| file.flush());
        batch.clear();
        for done in waiting {
            let _ = done.send(());
        }
    }
}
