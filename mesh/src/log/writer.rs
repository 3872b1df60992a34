//! The thread that writes. Requests only queue a line; a slow stdout is felt when the queue is full, and then by waiting.

use crate::limits;
use std::fmt;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// The queue's sending side. Cheap to clone; the thread ends with the last clone.
#[derive(Clone)]
pub(super) struct Writer {
    queue: SyncSender<Item>,
}

enum Item {
    Line(String),
    /// To be answered once everything before it is written.
    Flush(SyncSender<()>),
}

impl Writer {
    pub(super) fn spawn(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, items) = sync_channel(limits::LOG_QUEUE);
        thread::Builder::new().name("log".into()).spawn(move || run(&items, out))?;
        Ok(Self { queue })
    }

    pub(super) fn write(&self, mut line: String) {
        line.push('\n');
        // Fails only when the thread is gone, and then there is nowhere left to say so.
        let _ = self.queue.send(Item::Line(line));
    }

    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.send(Item::Flush(done)).is_ok() {
            // An error means that the thread is gone.
            let _ = wait.recv();
        }
    }
}

fn run(items: &Receiver<Item>, mut out: impl Write) {
    let mut batch = Vec::new();
    while let Ok(first) = items.recv() {
        let mut flushed = Vec::new();
        for item in std::iter::once(first).chain(items.try_iter()).take(limits::LOG_BATCH) {
            match item {
                Item::Line(line) => batch.extend_from_slice(line.as_bytes()),
                Item::Flush(done) => flushed.push(done),
            }
        }
        // A closed stdout must not stop a proxy, and there is no log to report it to.
        let _ = out.write_all(&batch).and_then(|()| out.flush());
        batch.clear();
        for done in flushed {
            let _ = done.send(());
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}
