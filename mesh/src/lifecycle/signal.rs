//! The two signals that ask a process to leave.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Installs the handlers now, and returns a future that resolves with the name of the first signal.
pub fn shutdown_signal() -> io::Result<impl Future<Output = &'static str> + Send> {
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    Ok(first_of(terminate, interrupt))
}

async fn first_of(mut terminate: Signal, mut interrupt: Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests;
