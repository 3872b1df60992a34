//! Descriptors tokio has no type for, made ready to be waited on.
#![allow(unsafe_code)] // tokio's registration asks its caller to keep the descriptor open; `OwnedFd` does

use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers with the runtime of the calling task.
///
/// # Errors
/// When the kernel cannot poll it.
pub fn pollable(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is an open descriptor, stays the same one, and is closed only when dropped, here by the `AsyncFd`.
    let registered = unsafe { AsyncFd::register_with_interest(fd, interest) };
    registered.map_err(Into::into)
}
