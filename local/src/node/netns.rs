//! A network namespace, held by a file descriptor: it lives as long as someone holds it or a process is in it.
//!
//! Code enters one on a thread of its own that ends afterwards, because the namespace is the thread's and a worker of a
//! runtime must never come back in the wrong one. Sockets opened inside stay inside, wherever they are used.
#![allow(unsafe_code)] // Command::pre_exec

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};

/// Where a thread finds the namespace it is in.
const OWN: &str = "/proc/thread-self/ns/net";

#[derive(Debug)]
pub struct NetNs {
    fd: OwnedFd,
    device: u64,
    inode: u64,
}

impl NetNs {
    /// A new, empty namespace. Its `lo` is down.
    pub fn new() -> io::Result<Self> {
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Self::current()
        })?
    }

    /// The calling thread's.
    pub fn current() -> io::Result<Self> {
        Self::open(Path::new(OWN))
    }

    /// A namespace by path, e.g. `/proc/<pid>/ns/net`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        Ok(Self { device: meta.dev(), inode: meta.ino(), fd: file.into() })
    }

    /// What tells two namespaces apart, together with the device.
    #[must_use]
    pub fn inode(&self) -> u64 {
        self.inode
    }

    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Runs `f` inside, on a thread of its own, and waits for it.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_thread(|| {
            setns(self, CloneFlags::CLONE_NEWNET)?;
            Ok(f())
        })?
    }

    /// Runs `f` inside, on a thread of its own that goes on beside the caller.
    pub fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<io::Result<T>>> {
        let ns = Arc::clone(self);
        std::thread::Builder::new().name("netns".into()).spawn(move || {
            setns(&*ns, CloneFlags::CLONE_NEWNET)?;
            Ok(f())
        })
    }

    pub fn tcp_listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        self.run(|| TcpListener::bind(at))?
    }

    pub fn tcp_connect(&self, to: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        self.run(|| TcpStream::connect_timeout(&to, timeout))?
    }

    pub fn udp_bind(&self, at: SocketAddr) -> io::Result<UdpSocket> {
        self.run(|| UdpSocket::bind(at))?
    }

    /// Sets a kernel parameter of this namespace; `key` as in `net/ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> io::Result<()> {
        self.run(|| set_sysctl(key, value))?
    }

    /// Lets `command` start inside. `self` must outlive the spawning.
    pub fn start_inside(&self, command: &mut Command) {
        let fd = self.fd.as_raw_fd();
        // SAFETY: setns is a bare system call; nothing is allocated or locked between fork and exec. The descriptor is
        // close-on-exec, hence still open there.
        unsafe {
            command.pre_exec(move || {
                setns(BorrowedFd::borrow_raw(fd), CloneFlags::CLONE_NEWNET)?;
                Ok(())
            });
        }
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sets a kernel parameter as the calling thread sees it; /proc/sys/net follows the thread's namespace.
pub(crate) fn set_sysctl(key: &str, value: &str) -> io::Result<()> {
    let path = format!("/proc/sys/{key}");
    std::fs::write(&path, value).map_err(|e| io::Error::new(e.kind(), format!("{path}: {e}")))
}

fn on_thread<T: Send>(f: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, f)?;
        match thread.join() {
            Ok(value) => Ok(value),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
