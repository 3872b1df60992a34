//! A process's life as its orchestrator sees it: ready, draining, gone.

mod drain;
mod readiness;
mod signal;

pub use drain::{DrainGuard, DrainTrigger, DrainWatch, drain};
pub use readiness::{Readiness, ReadyToken};
pub use signal::shutdown_signal;
