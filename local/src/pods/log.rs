//! A container's output: the last lines in memory, for whoever looks or follows, and all of it in a file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::broadcast;

use crate::limits::{LOG_FILE_BYTES_MAX, LOG_LINE_BYTES_MAX, LOG_LINES_MAX};

/// Lines a slow follower may be behind before it misses some.
const FOLLOWERS_BEHIND_MAX: usize = 1024;

/// Cheap to clone; all clones are the same log.
#[derive(Clone, Debug)]
pub struct ContainerLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    kept: Mutex<Kept>,
    lines: broadcast::Sender<String>,
}

#[derive(Debug)]
struct Kept {
    ring: VecDeque<String>,
    file: File,
    written: u64,
}

impl ContainerLog {
    pub fn create(path: &Path) -> io::Result<Self> {
        let kept = Kept { ring: VecDeque::new(), file: File::create(path)?, written: 0 };
        let lines = broadcast::channel(FOLLOWERS_BEHIND_MAX).0;
        Ok(Self { shared: Arc::new(Shared { path: path.to_owned(), kept: Mutex::new(kept), lines }) })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The last `n` lines, oldest first.
    #[must_use]
    pub fn tail(&self, n: usize) -> Vec<String> {
        let kept = self.kept();
        let skip = kept.ring.len().saturating_sub(n);
        kept.ring.iter().skip(skip).cloned().collect()
    }

    /// Everything kept, and from there on each line; none in between is missed or told twice.
    #[must_use]
    pub fn follow(&self) -> (Vec<String>, broadcast::Receiver<String>) {
        let kept = self.kept();
        (kept.ring.iter().cloned().collect(), self.shared.lines.subscribe())
    }

    pub fn push(&self, line: String) {
        let mut kept = self.kept();
        kept.write(&line, &self.shared.path);
        if kept.ring.len() == LOG_LINES_MAX {
            kept.ring.pop_front();
        }
        kept.ring.push_back(line.clone());
        let _ = self.shared.lines.send(line); // nobody follows
    }

    /// Takes lines from a stream until it ends.
    pub async fn take(&self, mut from: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; LOG_LINE_BYTES_MAX];
        let mut cutter = LineCutter::default();
        while let Ok(n) = from.read(&mut buffer).await {
            if n == 0 {
                break;
            }
            cutter.feed(&buffer[..n], |line| self.push(line));
        }
        cutter.end(|line| self.push(line));
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// A full disk must not stop the container, so failures to write are passed over; the ring has the lines.
    fn write(&mut self, line: &str, path: &Path) {
        if self.written > LOG_FILE_BYTES_MAX {
            let _ = std::fs::rename(path, path.with_extension("log.1"));
            if let Ok(file) = File::create(path) {
                (self.file, self.written) = (file, 0);
            }
        }
        self.written += line.len() as u64 + 1;
        let _ = self.file.write_all(format!("{line}\n").as_bytes());
    }
}

/// Bytes -> lines, with a bound on their length; what is not UTF-8 is replaced.
#[derive(Debug, Default)]
struct LineCutter {
    rest: Vec<u8>,
}

impl LineCutter {
    fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(String)) {
        for &byte in bytes {
            if byte == b'\n' {
                line(self.cut());
                continue;
            }
            self.rest.push(byte);
            if self.rest.len() == LOG_LINE_BYTES_MAX {
                line(self.cut());
            }
        }
    }

    fn end(&mut self, mut line: impl FnMut(String)) {
        if !self.rest.is_empty() {
            line(self.cut());
        }
    }

    fn cut(&mut self) -> String {
        let bytes = std::mem::take(&mut self.rest);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        String::from_utf8_lossy(bytes).into_owned()
    }
}

#[cfg(test)]
mod tests;
