//! From the caller's namespaces into the node's: `spawn` outside, `settle` first thing inside.
//!
//! Invariant: when the caller ends, however it ends, the kernel ends the node's first process, and with it every process,
//! namespace, mount and rule of the node. Hence everything of the node is inside its PID namespace, and that process dies by
//! PR_SET_PDEATHSIG with the thread that made it, which lives exactly as long as the caller.
#![allow(unsafe_code)] // clone(2) with namespace flags has no safe wrapper; the child may only make system calls

mod child;
mod explain;
mod settle;

use std::ffi::{CString, NulError, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::sync::oneshot;

pub use settle::{NodeHome, settle};

/// What to run as the node's first process.
#[derive(Debug)]
pub struct NodeCommand {
    pub program: PathBuf,
    /// Including the program's name.
    pub args: Vec<OsString>,
    /// Added to the caller's environment.
    pub env: Vec<(OsString, OsString)>,
    /// Descriptors the node keeps, under the same numbers.
    pub inherit: Vec<OwnedFd>,
}

#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The kernel does not let us make namespaces; why, as far as it can be seen.
    #[error("cannot make the node's namespaces: {error}{reason}")]
    Namespaces { error: io::Error, reason: String },
    #[error("{what}: {error}")]
    Step { what: String, error: io::Error },
    #[error("a NUL byte in the node's command: {0}")]
    Command(#[from] NulError),
}

impl EnterError {
    fn step(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Step { what, error }
    }
}

/// The running node, seen from outside.
#[derive(Debug)]
pub struct NodeChild {
    pid: Pid,
    ended: oneshot::Receiver<i32>,
}

impl NodeChild {
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Asks the node to end in order; it passes the signal on to its main process.
    pub fn terminate(&self) -> io::Result<()> {
        Ok(kill(self.pid, Signal::SIGTERM)?)
    }

    /// Ends it at once, with everything in it.
    pub fn kill(&self) -> io::Result<()> {
        Ok(kill(self.pid, Signal::SIGKILL)?)
    }

    /// Waits for the end: the main process's exit code, or 128 + signal number.
    pub async fn wait(&mut self) -> io::Result<i32> {
        (&mut self.ended).await.map_err(|_| io::Error::other("the node's end was already waited for"))
    }
}

/// Starts a process as the first of new namespaces: network, mount, PID, UTS, IPC, and user unless we are root.
pub fn spawn(command: NodeCommand) -> Result<NodeChild, EnterError> {
    let (started, result) = std::sync::mpsc::channel();
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("node".into())
        .spawn(move || {
            let pid = start(command);
            let watched = pid.as_ref().ok().copied();
            let _ = started.send(pid);
            if let Some(pid) = watched {
                let _ = end.send(end_of(pid));
            }
        })
        .map_err(EnterError::step("starting a thread"))?;
    let pid = result
        .recv()
        .map_err(|_| EnterError::step("starting the node")(io::ErrorKind::BrokenPipe.into()))??;
    Ok(NodeChild { pid, ended })
}

fn start(command: NodeCommand) -> Result<Pid, EnterError> {
    let program = CString::new(command.program.as_os_str().as_bytes())?;
    let args = command.args.iter().map(|a| CString::new(a.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let mut env: Vec<CString> = Vec::new();
    for (name, value) in std::env::vars_os().chain(command.env) {
        env.push(CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())?);
    }
    let root = nix::unistd::geteuid().is_root();
    let image = child::Image { program, args, env, inherit: command.inherit };
    let mut started = child::start(&image, !root);
    if root
        && matches!(&started, Err(child::StartError::Clone(e)) if e.kind() == io::ErrorKind::PermissionDenied)
    {
        // Root by name only, as in most containers: it may still be allowed what any user is.
        started = child::start(&image, true);
    }
    match started {
        Ok(pid) => Ok(pid),
        Err(child::StartError::Clone(error)) => {
            Err(EnterError::Namespaces { error, reason: explain::refusal(root) })
        }
        Err(child::StartError::Step(what, error)) => Err(EnterError::Step { what: what.into(), error }),
    }
}

fn end_of(pid: Pid) -> i32 {
    loop {
        match waitpid(pid, None) {
            Ok(WaitStatus::Exited(_, code)) => return code,
            Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as i32,
            Err(nix::errno::Errno::EINTR) | Ok(_) => {}
            Err(_) => return 128,
        }
    }
}
