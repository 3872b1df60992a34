//! The process's descriptors: a proxied connection needs two, and the default limit is 1024.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as it may be raised.
///
/// # Errors
/// What the kernel says.
pub fn raise_descriptor_limit() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

/// Open now, and how many may be.
pub(super) fn descriptors() -> (i64, i64) {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let max = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    (i64::try_from(open).unwrap_or(i64::MAX), i64::try_from(max).unwrap_or(i64::MAX))
}
