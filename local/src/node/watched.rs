//! Kernel sockets tokio has no type of its own for (SOCK_SEQPACKET, AF_PACKET), waited for by its runtime.
#![allow(unsafe_code)] // AsyncFd's constructors are: the descriptor must stay the same

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// A non-blocking descriptor and the runtime's watch over it. Needs a runtime's context.
pub(crate) fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is the same open descriptor until it is dropped, and AsyncFd owns it.
    unsafe { AsyncFd::register(fd) }.map_err(|e| e.into_parts().1)
}
