//! The node seen from outside: what it inherits, how it ends, and that `kill -9` of whoever started it leaves nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fairway::node::enter::{self, EnterError, NodeCommand};

use crate::lab::PATIENCE;
use crate::lifecycle::{Place, pod, sh};

/// In the sleeping pod's command line, so that it can be found from outside.
const MARKER: &str = "86399";

/// Starts a node that holds a pod, and waits to be killed.
pub(crate) fn hold() -> anyhow::Result<()> {
    let command = NodeCommand {
        program: std::env::current_exe()?,
        args: vec!["netns".into(), "hold-node".into()],
        env: Vec::new(),
        inherit: Vec::new(),
    };
    let mut node = enter::spawn(command)?;
    println!("node {}", node.pid());
    crate::runtime()?.block_on(node.wait())?;
    Ok(())
}

pub(crate) fn hold_node() -> anyhow::Result<()> {
    enter::settle("held-node")?;
    crate::runtime()?.block_on(async {
        let place = Place::new().await?;
        let pod = place.create(pod(vec![sh(&format!("echo up; exec sleep {MARKER}"))])).await?;
        pod.start();
        crate::lab::until("the pod runs", || pod.status().ready).await?;
        println!("pod up");
        std::future::pending().await
    })
}

/// Answers one connection on an inherited socket, then waits for SIGTERM.
pub(crate) fn answer(fd: Option<&str>) -> anyhow::Result<()> {
    enter::settle("answering-node")?;
    let fd = fd.context("which descriptor?")?;
    let listener = TcpListener::from(own(fd.parse()?));
    crate::runtime()?.block_on(async {
        // First, so that whoever has the answer may send it.
        let mut ended = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        // No interface of this network namespace has an address; the socket belongs to the one it was made in.
        listener.accept()?.0.write_all(b"inside")?;
        ended.recv().await;
        std::process::exit(42)
    })
}

#[allow(unsafe_code)]
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: handed over by whoever started this process, for nothing else.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

pub(crate) fn inherits_ends_and_tells_its_code() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let fd = listener.as_raw_fd().to_string();
    let command = |program: PathBuf, inherit| NodeCommand {
        program,
        args: vec!["netns".into(), "answer".into(), fd.clone().into()],
        env: Vec::new(),
        inherit,
    };
    let mut node = enter::spawn(command(std::env::current_exe()?, vec![listener.into()]))?;
    let mut said = String::new();
    TcpStream::connect_timeout(&address, PATIENCE)?.read_to_string(&mut said)?;
    ensure!(said == "inside", "{said:?}");
    node.terminate()?;
    let ended = crate::runtime()?.block_on(async { tokio::time::timeout(PATIENCE, node.wait()).await });
    let code = ended.context("it does not end")??;
    ensure!(code == 42, "ended with {code}");

    match enter::spawn(command("/no/such/program".into(), Vec::new())) {
        Err(EnterError::Step { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => bail!("starting what is not there: {other:?}"),
    }
}

pub(crate) fn kill_leaves_nothing() -> anyhow::Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let mut outer = Command::new(std::env::current_exe()?)
        .arg("hold")
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()?;
    let lines = BufReader::new(outer.stdout.take().context("its output")?).lines();
    let mut node = None;
    for line in lines {
        let line = line?;
        if let Some(pid) = line.strip_prefix("node ") {
            node = Some(pid.to_owned());
        }
        if line == "pod up" {
            break;
        }
    }
    let node = node.context("the node did not start")?;
    let network = std::fs::metadata(format!("/proc/{node}/ns/net"))?.ino();
    ensure!(marked() == 1, "the pod's process is not there to begin with");
    outer.kill()?;
    outer.wait()?;
    let began = Instant::now();
    loop {
        let left = (marked(), in_network(network), std::path::Path::new(&format!("/proc/{node}")).exists());
        if left == (0, 0, false) {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "still there (processes, in the network, the node): {left:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure!(std::fs::read_to_string("/proc/self/mountinfo")? == mounts, "mounts have changed");
    Ok(())
}

fn processes() -> impl Iterator<Item = std::path::PathBuf> {
    std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path())
}

fn marked() -> usize {
    let commands = processes().filter_map(|p| std::fs::read(p.join("cmdline")).ok());
    commands.filter(|line| line == format!("sleep\0{MARKER}\0").as_bytes()).count()
}

fn in_network(inode: u64) -> usize {
    processes().filter(|p| std::fs::metadata(p.join("ns/net")).is_ok_and(|m| m.ino() == inode)).count()
}
