//! The clone itself, and the few system calls between it and exec.
//!
//! The caller has threads, so its copy may hold any lock forever: until exec the child neither allocates nor locks.
#![allow(unsafe_code)]

use std::ffi::{CString, c_char};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::fcntl::OFlag;
use nix::unistd::{Pid, getegid, geteuid, pipe2};

pub(super) struct Image {
    pub(super) program: CString,
    pub(super) args: Vec<CString>,
    pub(super) env: Vec<CString>,
    pub(super) inherit: Vec<OwnedFd>,
}

pub(super) enum StartError {
    Clone(io::Error),
    Step(&'static str, io::Error),
}

fn step<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> StartError {
    move |error| StartError::Step(what, error.into())
}

pub(super) fn start(image: &Image, user_namespace: bool) -> Result<Pid, StartError> {
    // The child waits for one byte on `go` (its ids are mapped by then, or its parent is gone), and tells on `fault` why exec
    // failed; a successful exec closes it.
    let (go_read, go_write) = pipe2(OFlag::O_CLOEXEC).map_err(step("pipe"))?;
    let (fault_read, fault_write) = pipe2(OFlag::O_CLOEXEC).map_err(step("pipe"))?;
    let plan = Plan {
        program: image.program.as_ptr(),
        args: pointers(&image.args),
        env: pointers(&image.env),
        inherit: image.inherit.iter().map(AsRawFd::as_raw_fd).collect(),
        go_read: go_read.as_raw_fd(),
        go_write: go_write.as_raw_fd(),
        fault: fault_write.as_raw_fd(),
    };
    let mut flags =
        libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
    if user_namespace {
        flags |= libc::CLONE_NEWUSER;
    }
    // SAFETY: without CLONE_VM this is fork with namespaces; the child goes on in `Plan::become_node`, which only makes
    // system calls, on memory that was made before.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0) };
    if pid == 0 {
        // SAFETY: in the child, see above.
        unsafe { plan.become_node() }
    }
    if pid < 0 {
        return Err(StartError::Clone(io::Error::last_os_error()));
    }
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid is an int"));
    drop((go_read, fault_write));
    let begun = release(pid, user_namespace, go_write).and_then(|()| no_fault(fault_read));
    if begun.is_err() {
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(pid, None);
    }
    begun.map(|()| pid)
}

/// Maps our ids to root inside and lets the child go on.
fn release(pid: Pid, user_namespace: bool, go: OwnedFd) -> Result<(), StartError> {
    if user_namespace {
        let file = |name: &str| format!("/proc/{pid}/{name}");
        // One id of ours, so no privilege and no newuidmap is needed; setgroups must be given up for that.
        std::fs::write(file("setgroups"), "deny").map_err(step("writing setgroups"))?;
        std::fs::write(file("uid_map"), format!("0 {} 1", geteuid())).map_err(step("writing uid_map"))?;
        std::fs::write(file("gid_map"), format!("0 {} 1", getegid())).map_err(step("writing gid_map"))?;
    }
    std::fs::File::from(go).write_all(&[1]).map_err(step("releasing the node"))
}

fn no_fault(fault: OwnedFd) -> Result<(), StartError> {
    let mut errno = [0; 4];
    match std::fs::File::from(fault).read_exact(&mut errno) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(e) => Err(StartError::Step("starting the node", e)),
        Ok(()) => {
            let error = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
            Err(StartError::Step("running the node's program", error))
        }
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}

struct Plan {
    program: *const c_char,
    args: Vec<*const c_char>,
    env: Vec<*const c_char>,
    inherit: Vec<RawFd>,
    go_read: RawFd,
    go_write: RawFd,
    fault: RawFd,
}

impl Plan {
    /// # Safety
    /// Only in a freshly forked child.
    unsafe fn become_node(&self) -> ! {
        // SAFETY: system calls on memory and descriptors that outlive them.
        unsafe {
            libc::close(self.go_write); // or the read below never ends when the parent does
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::setsid(); // the terminal's Ctrl-C is the caller's to translate
            let mut byte = 0u8;
            if libc::read(self.go_read, (&raw mut byte).cast(), 1) != 1 {
                libc::_exit(127); // the parent ended before the death signal was armed
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
            libc::signal(libc::SIGPIPE, libc::SIG_DFL); // Rust ignores it, exec would keep that
            for fd in &self.inherit {
                libc::fcntl(*fd, libc::F_SETFD, 0);
            }
            libc::execve(self.program, self.args.as_ptr(), self.env.as_ptr());
            let errno = *libc::__errno_location();
            libc::write(self.fault, (&raw const errno).cast(), 4);
            libc::_exit(126)
        }
    }
}
