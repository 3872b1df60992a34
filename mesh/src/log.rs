//! The process's log on stdout, in the shape Istio's tools read: ztunnel's tab-separated line or one JSON object.
//!
//! Not metrics and not the waypoint's access log, whose format users configure; both may use [`LogHandle::write_line`]'s queue.
//! Invariant: lines are written whole, in the order they were logged, and none is dropped: a full queue blocks.
//! Spec: ztunnel `src/telemetry.rs`; Kiali splits the plain line at tabs.

mod filter;
mod format;
mod writer;

pub use format::Format;

use filter::Filter;
use format::Lines;
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};
use writer::Writer;

/// Changes the level of a running process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogHandle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    initial: Filter,
    current: Mutex<Filter>,
    active: reload::Handle<Targets, Registry>,
    writer: Writer,
}

/// Why a level is refused, or logging could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Not a filter.
    #[error(
        "invalid log level {0:?}: LEVEL, SCOPE=LEVEL or SCOPE:LEVEL, comma separated, LEVEL one of off error warn info debug trace"
    )]
    Filter(String),
    /// Somebody was first.
    #[error("logging is already set up")]
    AlreadySet,
    /// No writer thread.
    #[error("log writer: {0}")]
    Writer(String),
}

/// Sets up the process's log on stdout. `filter` is e.g. `info,access=debug`.
pub fn init(format: Format, filter: &str) -> Result<LogHandle, LogError> {
    let writer = Writer::spawn(std::io::stdout()).map_err(|error| LogError::Writer(error.to_string()))?;
    let (subscriber, handle) = subscriber(format, filter, writer)?;
    subscriber.try_init().map_err(|_| LogError::AlreadySet)?;
    Ok(handle)
}

fn subscriber(
    format: Format,
    filter: &str,
    writer: Writer,
) -> Result<(impl SubscriberInitExt + tracing::Subscriber + Send + Sync, LogHandle), LogError> {
    let initial = Filter::parse(filter)?;
    let (active, handle) = reload::Layer::new(initial.targets());
    let layer = Lines::new(format, writer.clone()).with_filter(active);
    let inner = Inner { current: Mutex::new(initial.clone()), initial, active: handle, writer };
    Ok((tracing_subscriber::registry().with(layer), LogHandle { inner: Arc::new(inner) }))
}

impl LogHandle {
    /// `level`, or `scope:level` / `scope=level`, several separated by commas. Scopes not named keep their level; a bare level
    /// is for all scopes that have none of their own.
    pub fn set_level(&self, directives: &str) -> Result<(), LogError> {
        let changed = Filter::parse(directives)?;
        self.change(|current| current.extend(changed));
        Ok(())
    }

    /// Back to the filter of the start.
    pub fn reset(&self) {
        self.change(|current| current.clone_from(&self.inner.initial));
    }

    /// The filter as it is now.
    #[must_use]
    pub fn current(&self) -> String {
        self.inner.current.lock().unwrap_or_else(PoisonError::into_inner).to_string()
    }

    /// Puts a finished line (without its line end) into the same queue, past all filters.
    pub fn write_line(&self, line: String) {
        self.inner.writer.write(line);
    }

    /// Waits until every line logged so far is written; to be called before the process exits.
    pub fn flush(&self) {
        self.inner.writer.flush();
    }

    fn change(&self, change: impl FnOnce(&mut Filter)) {
        let mut current = self.inner.current.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut current);
        // Fails only when the subscriber is gone, and with it the log.
        let _ = self.inner.active.reload(current.targets());
    }
}

#[cfg(test)]
mod tests;
