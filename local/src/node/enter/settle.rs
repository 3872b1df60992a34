//! The node's first steps inside: its own view of processes and mounts, its name, and an init that reaps.
//!
//! The first process of a PID namespace inherits every orphan and would have to reap it, in the way of everyone who waits for
//! a child of his own. So it stays behind as nothing but that, and the node's work is done by its child.
#![allow(unsafe_code)] // fork

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, sethostname};

use super::{EnterError, explain};

/// Folders every system has and nothing of ours needs; the first that hides neither our program nor the working folder
/// becomes the node's private one.
const RUN_CANDIDATES: [&str; 4] = ["/run", "/mnt", "/media", "/srv"];

/// What the node may use.
#[derive(Clone, Debug)]
pub struct NodeHome {
    /// A tmpfs only the node sees; it ends with the node.
    pub run: PathBuf,
}

/// To be called first in the process `spawn` started, before there is a second thread. Returns in a child of it; the first
/// process itself stays in here, reaps, passes SIGTERM and SIGINT on, and ends with the child's exit code.
pub fn settle(hostname: &str) -> Result<NodeHome, EnterError> {
    if nix::unistd::getpid() != Pid::from_raw(1) {
        return Err(EnterError::Step {
            what: "settle outside a new PID namespace".into(),
            error: io::ErrorKind::InvalidInput.into(),
        });
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    tell(mount(None::<&str>, "/", None::<&str>, private, None::<&str>), "making mounts private")?;
    tell(mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>), "mounting /proc")?;
    let run = run_folder();
    tell(
        mount(Some("tmpfs"), &run, Some("tmpfs"), MsFlags::empty(), Some("mode=755")),
        "mounting a private /run",
    )?;
    tell(sethostname(hostname), "setting the host name")?;
    raise_descriptor_limit();
    divide()?;
    Ok(NodeHome { run })
}

fn tell(result: nix::Result<()>, what: &str) -> Result<(), EnterError> {
    result.map_err(|e| EnterError::Step { what: explain::inside(what), error: e.into() })
}

/// Proxies take a descriptor per connection; the usual soft limit of 1024 is for programs that use select(2). Container
/// runtimes give what the machine allows, and so do we; failing that, what there is.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn run_folder() -> PathBuf {
    let used: Vec<PathBuf> =
        [fs::read_link("/proc/self/exe"), std::env::current_dir()].into_iter().flatten().collect();
    let free =
        |folder: &&&str| Path::new(folder).is_dir() && !used.iter().any(|path| path.starts_with(folder));
    RUN_CANDIDATES.iter().find(free).unwrap_or(&RUN_CANDIDATES[0]).into()
}

/// Forks; returns in the child only.
fn divide() -> Result<(), EnterError> {
    let mut awaited = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
        awaited.add(signal);
    }
    let fail = |what: &str, e: nix::Error| EnterError::Step { what: what.into(), error: e.into() };
    // Before the fork, so that no signal gets lost.
    awaited.thread_block().map_err(|e| fail("blocking signals", e))?;
    // SAFETY: `settle` runs before there is a second thread, so the child is a whole copy.
    match unsafe { fork() }.map_err(|e| fail("fork", e))? {
        ForkResult::Child => awaited.thread_unblock().map_err(|e| fail("unblocking signals", e)),
        ForkResult::Parent { child } => {
            close_inherited();
            std::process::exit(reap(&awaited, child))
        }
    }
}

/// The listening sockets must not outlive the child's wish to close them.
fn close_inherited() {
    // SAFETY: nothing runs in this process any more but `reap`, which uses no descriptor.
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, 0);
    }
}

fn reap(awaited: &SigSet, main: Pid) -> i32 {
    loop {
        match awaited.wait() {
            Ok(Signal::SIGCHLD) => {}
            Ok(signal) => {
                let _ = kill(main, signal);
                continue;
            }
            Err(_) => continue,
        }
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            match status {
                WaitStatus::StillAlive => break,
                WaitStatus::Exited(pid, code) if pid == main => return code,
                WaitStatus::Signaled(pid, signal, _) if pid == main => return 128 + signal as i32,
                _ => {}
            }
        }
    }
}
