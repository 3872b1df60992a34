//! The namespaces of a pod: one network and one UTS namespace, and per container a mount namespace with its own root.
//!
//! They are made once, on threads of their own, and held by descriptors; a process enters them between fork and exec. So a
//! container that is started again, and a command run in it, find the same files.
#![allow(unsafe_code)] // Command::pre_exec

mod root;
mod tree;

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use super::spec::{ContainerSpec, DnsConfig, Mount, Program};
use crate::node::netns::NetNs;

/// Where a container sees a program that stands in for its image.
const PROGRAMS: &str = "/.fairway";
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/.fairway";

/// A killed process is gone within a pause or two; one in an uninterruptible wait is not worth waiting for.
const CLEARING_ROUNDS: u32 = 200;
const CLEARING_PAUSE: Duration = Duration::from_millis(5);

#[derive(Debug, thiserror::Error)]
#[error("{what}: {error}")]
pub struct SandboxError {
    what: String,
    error: io::Error,
}

impl SandboxError {
    fn new(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self { what, error }
    }
}

/// What the containers of a pod have in common.
#[derive(Clone, Debug)]
pub struct Sandbox {
    pub net: Arc<NetNs>,
    uts: Arc<OwnedFd>,
    /// hosts, resolv.conf and hostname lie here.
    dir: PathBuf,
}

/// /etc's files that are the pod's own.
#[derive(Debug)]
pub struct Names<'a> {
    pub hostname: &'a str,
    pub address: Ipv4Addr,
    pub dns: &'a DnsConfig,
    pub aliases: &'a [(Ipv4Addr, Vec<String>)],
}

impl Sandbox {
    pub fn create(net: Arc<NetNs>, dir: &Path, names: &Names<'_>) -> Result<Self, SandboxError> {
        let write = |name: &str, text: String| {
            let path = dir.join(name);
            std::fs::write(&path, text).map_err(SandboxError::new(path.display().to_string()))
        };
        write("hosts", names.hosts())?;
        write("resolv.conf", names.resolv())?;
        write("hostname", format!("{}\n", names.hostname))?;
        let uts = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWUTS)?;
            nix::unistd::sethostname(names.hostname)?;
            File::open("/proc/thread-self/ns/uts")
        })
        .map_err(SandboxError::new("making a UTS namespace"))?;
        Ok(Self { net, uts: Arc::new(uts.into()), dir: dir.to_owned() })
    }

    /// Makes a container's root. `volume` says where a volume lies.
    pub fn room(
        &self,
        container: &ContainerSpec,
        volume: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Room, SandboxError> {
        let mut tree = tree::Tree::new(|path| std::fs::read_link(path).ok());
        for name in ["hosts", "resolv.conf", "hostname"] {
            tree.bind(&Path::new("/etc").join(name), &self.dir.join(name), true);
        }
        // A checkout below /tmp, or programs below /run as on NixOS.
        let path =
            container.env.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path);
        for folder in std::env::split_paths(path).filter(|folder| folder.is_dir()) {
            tree.uncover(&folder);
        }
        for mount in &container.mounts {
            let source =
                source_of(mount, &volume).map_err(SandboxError::new(format!("volume {}", mount.volume)))?;
            tree.bind(&mount.path, &source, !mount.read_only);
        }
        let program = match &container.program {
            Program::Container(name) => name.clone(),
            Program::Machine(file) => {
                let name = file.file_name().unwrap_or_default();
                let shown = Path::new(PROGRAMS).join(name);
                tree.bind(&shown, file, false);
                shown.to_string_lossy().into_owned()
            }
        };
        let at = self.dir.join(format!("root-{}", container.name));
        std::fs::create_dir_all(&at).map_err(SandboxError::new(at.display().to_string()))?;
        let mounts = on_thread(|| root::build(&tree, &at)).map_err(SandboxError::new("building the root"))?;
        Ok(Room {
            net: Arc::clone(&self.net),
            uts: Arc::clone(&self.uts),
            inode: mounts.metadata().map_err(SandboxError::new("looking at the root"))?.ino(),
            mounts: mounts.into(),
            program,
            env: container.env.clone(),
            working_dir: container.working_dir.clone().unwrap_or_else(|| "/".into()),
        })
    }
}

fn source_of(mount: &Mount, volume: impl Fn(&str) -> Option<PathBuf>) -> io::Result<PathBuf> {
    let source = volume(&mount.volume).ok_or(io::ErrorKind::NotFound)?;
    let Some(sub) = &mount.sub_path else { return Ok(source) };
    if !sub.components().all(|c| matches!(c, std::path::Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "subPath leads out of the volume"));
    }
    let source = source.join(sub);
    if !source.exists() {
        std::fs::create_dir_all(&source)?;
    }
    Ok(source)
}

impl Names<'_> {
    fn hosts(&self) -> String {
        let mut text = format!("127.0.0.1 localhost\n{} {}\n", self.address, self.hostname);
        for (ip, names) in self.aliases {
            text += &format!("{ip} {}\n", names.join(" "));
        }
        text
    }

    fn resolv(&self) -> String {
        let mut text: String = self.dns.nameservers.iter().map(|ip| format!("nameserver {ip}\n")).collect();
        if !self.dns.search.is_empty() {
            text += &format!("search {}\n", self.dns.search.join(" "));
        }
        if !self.dns.options.is_empty() {
            text += &format!("options {}\n", self.dns.options.join(" "));
        }
        text
    }
}

/// A container's place: everything a process of it enters.
#[derive(Debug)]
pub struct Room {
    net: Arc<NetNs>,
    uts: Arc<OwnedFd>,
    mounts: OwnedFd,
    /// Tells the container's processes from all others.
    inode: u64,
    program: String,
    env: Vec<(String, String)>,
    working_dir: PathBuf,
}

impl Room {
    /// Kills every process in the container, whoever started it, and waits until none is left.
    pub async fn clear(&self) {
        for _ in 0..CLEARING_ROUNDS {
            let inside = self.processes();
            if inside.is_empty() {
                return;
            }
            for process in inside {
                let _ = kill(process, Signal::SIGKILL); // it may have ended by itself
            }
            tokio::time::sleep(CLEARING_PAUSE).await;
        }
        tracing::warn!(program = self.program, "processes of the container do not end");
    }

    /// A zombie has no namespaces any more and does not count.
    fn processes(&self) -> Vec<Pid> {
        let ours = |path: &Path| std::fs::metadata(path.join("ns/mnt")).is_ok_and(|m| m.ino() == self.inode);
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| Some((entry.path(), entry.file_name().to_str()?.parse().ok()?)))
            .filter(|(path, _)| ours(path))
            .map(|(_, pid)| Pid::from_raw(pid))
            .collect()
    }

    /// The container's own program.
    pub fn main(&self, args: &[String]) -> io::Result<Command> {
        self.command(&self.program, args, &[], None)
    }

    /// Any command in the container, with its environment and `env` on top. The room must outlive the spawning.
    pub fn command(
        &self,
        program: &str,
        args: &[String],
        env: &[(String, String)],
        working_dir: Option<&Path>,
    ) -> io::Result<Command> {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", DEFAULT_PATH).env("HOME", "/");
        command.envs(self.env.iter().chain(env).map(|(k, v)| (k, v)));
        // A group of its own, so that what the process leaves behind can be ended with it.
        command.process_group(0).kill_on_drop(true);
        let dir = CString::new(working_dir.unwrap_or(&self.working_dir).as_os_str().as_bytes())?;
        let (net, uts, mounts) = (nix_fd(&self.net), self.uts.as_raw_fd(), self.mounts.as_raw_fd());
        // SAFETY: bare system calls on descriptors that are close-on-exec, hence still open; nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                setns(BorrowedFd::borrow_raw(net), CloneFlags::CLONE_NEWNET)?;
                setns(BorrowedFd::borrow_raw(uts), CloneFlags::CLONE_NEWUTS)?;
                setns(BorrowedFd::borrow_raw(mounts), CloneFlags::CLONE_NEWNS)?;
                nix::unistd::chdir(dir.as_c_str())?;
                Ok(())
            });
        }
        Ok(command)
    }
}

fn nix_fd(net: &NetNs) -> i32 {
    use std::os::fd::AsFd;
    net.as_fd().as_raw_fd()
}

fn on_thread<T: Send>(f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| match scope.spawn(f).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
