//! `up`: the outer half stays in the caller's namespaces, owns the two listening sockets and the terminal; the inner half
//! (`node`) runs the agent in namespaces of its own. What ends the outer half ends the inner one, and with it everything.
#![allow(unsafe_code)] // inherited descriptors are plain numbers on the command line

use std::io::Write;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::{args, read, run_folder, show};
use crate::agent::{self, Programs, Settings};
use crate::cluster::addresses::NODE_NAME;
use crate::cluster::images::{EMBEDDED, Images};
use crate::control::client::send;
use crate::control::{self, Reply, Request, Submitted, WaitFor};
use crate::node::enter::{self, NodeChild, NodeCommand};

/// The outer half.
pub(super) fn up(up: &args::Up) -> anyhow::Result<i32> {
    let begin = Instant::now();
    // Mistakes in manifests and tables are told before anything is started.
    let objects = match &up.path {
        Some(path) => read(std::slice::from_ref(path), "default")?,
        None => Vec::new(),
    };
    images(up.images.as_deref())?;
    let folder = run_folder();
    let socket = control::socket(&folder);
    let control = listen(&folder, &socket)?;
    let _remove = RemoveOnDrop(socket);
    let ingress = TcpListener::bind(("127.0.0.1", up.port))
        .with_context(|| format!("127.0.0.1:{} (choose another with --port)", up.port))?;
    let url = format!("http://localhost:{}", ingress.local_addr()?.port());
    let child = enter::spawn(command(up, ingress.into(), control.into())?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let code = runtime.block_on(outside(up, child, Start { begin, objects, folder, url }));
    runtime.shutdown_background();
    code
}

struct Start {
    begin: Instant,
    objects: Vec<Submitted>,
    folder: PathBuf,
    url: String,
}

/// The control socket goes with us.
struct RemoveOnDrop(PathBuf);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // somebody was faster
    }
}

fn images(file: Option<&Path>) -> anyhow::Result<Images> {
    match file {
        None => Ok(Images::parse(EMBEDDED)?),
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            Images::parse(&text).with_context(|| file.display().to_string())
        }
    }
}

/// The control socket, in a folder nobody else may enter.
fn listen(folder: &Path, socket: &Path) -> anyhow::Result<UnixListener> {
    if UnixStream::connect(socket).is_ok() {
        bail!(
            "a mesh is up already ({}); end it with `fairway down`, or set FAIRWAY_RUN for another",
            socket.display()
        );
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| folder.display().to_string())?;
    let ours = std::fs::metadata(folder)?;
    let uid = std::os::unix::fs::MetadataExt::uid(&ours);
    if uid != nix::unistd::geteuid().as_raw() || ours.permissions().mode() & 0o022 != 0 {
        bail!("{} can be written by others; set FAIRWAY_RUN to a folder of your own", folder.display());
    }
    let _ = std::fs::remove_file(socket); // left by a mesh that was killed
    let listener = UnixListener::bind(socket).with_context(|| socket.display().to_string())?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn command(up: &args::Up, ingress: OwnedFd, control: OwnedFd) -> anyhow::Result<NodeCommand> {
    let program = std::env::current_exe().context("our own program")?;
    let mut args = vec!["fairway".into(), "node".into()];
    for (name, fd) in [("--ingress-fd", &ingress), ("--control-fd", &control)] {
        args.push(name.into());
        args.push(fd.as_raw_fd().to_string().into());
    }
    if let Some(file) = &up.images {
        args.push("--images".into());
        args.push(file.canonicalize()?.into());
    }
    if up.no_mesh {
        args.push("--no-mesh".into());
    }
    Ok(NodeCommand { program, args, env: Vec::new(), inherit: vec![ingress, control] })
}

async fn outside(up: &args::Up, mut child: NodeChild, start: Start) -> anyhow::Result<i32> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (folder, url) = (start.folder.clone(), start.url.clone());
    let (timeout, no_mesh) = (up.timeout, up.no_mesh);
    let begun = tokio::task::spawn_blocking(move || bring_up(&start, timeout, no_mesh));
    tokio::select! {
        result = begun => result??,
        code = child.wait() => bail!("the node ended by itself (exit code {})", code?),
        _ = interrupt.recv() => return end(child, 130).await,
        _ = terminate.recv() => return end(child, 143).await,
    }
    if let Some(text) = &up.exec {
        let mut command = exec_command(text, &folder, &url)?;
        let mut running = command.spawn().with_context(|| text.clone())?;
        let code = tokio::select! {
            status = running.wait() => crate::pods::exec::exit_code(status?),
            code = child.wait() => bail!("the node ended by itself (exit code {})", code?),
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        };
        return end(child, code).await;
    }
    say("Ctrl-C ends it.");
    tokio::select! {
        // `fairway down`
        code = child.wait() => return Ok(code?),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    end(child, 0).await
}

async fn end(mut child: NodeChild, code: i32) -> anyhow::Result<i32> {
    child.kill()?;
    child.wait().await?;
    Ok(code)
}

/// Whoever read our output may have gone away (`fairway up | head`); the mesh stays.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn exec_command(text: &str, folder: &Path, url: &str) -> anyhow::Result<tokio::process::Command> {
    let own = std::env::current_exe()?;
    let path = std::env::var("PATH").unwrap_or_default();
    let beside = own.parent().unwrap_or_else(|| Path::new("/")).display().to_string();
    let mut command = tokio::process::Command::new("sh");
    command
        .args(["-c", text])
        .env("FAIRWAY_RUN", folder)
        .env("FAIRWAY_URL", url)
        .env("PATH", format!("{beside}:{path}"));
    command.kill_on_drop(true);
    Ok(command)
}

/// Applies the manifests, tells the progress, shows what there is.
fn bring_up(start: &Start, timeout: u64, no_mesh: bool) -> anyhow::Result<()> {
    let socket = control::socket(&start.folder);
    let tell = |text: &str| say(&format!("{:6.1} s  {text}", start.begin.elapsed().as_secs_f64()));
    if !no_mesh {
        // Manifests are checked by istiod, so it has to be there.
        wait_for_istiod(&socket, timeout, &tell)?;
    }
    let count = start.objects.len();
    if count > 0 {
        let objects: Vec<Submitted> = start
            .objects
            .iter()
            .map(|s| Submitted { origin: s.origin.clone(), object: s.object.clone() })
            .collect();
        let mut refused = 0;
        let mut replies = send(&socket, &Request::Apply { objects }, &[])?;
        while let Some(reply) = replies.next_reply()? {
            match reply {
                Reply::Refused { origin, object, message } => {
                    eprintln!("error: {}", show::refusal(&origin, &object, &message));
                    refused += 1;
                }
                Reply::Warning { message } => eprintln!("warning: {message}"),
                _ => {}
            }
        }
        if refused > 0 {
            bail!("{refused} of {count} objects were refused");
        }
        tell(&format!("{count} objects applied"));
    }
    let mut replies = send(&socket, &Request::Wait { what: WaitFor::Everything, seconds: timeout }, &[])?;
    while let Some(reply) = replies.next_reply()? {
        if let Reply::Progress { message } = reply
            && message != ISTIOD_READY
        {
            tell(&message);
        }
    }
    tell("everything is ready");
    say("");
    say(show::everything(&socket)?.trim_end());
    say(&format!("\n{}/productpage", start.url)
        .replace("/productpage", if has_page(start) { "/productpage" } else { "/" }));
    Ok(())
}

fn has_page(start: &Start) -> bool {
    start
        .objects
        .iter()
        .any(|s| s.object["kind"] == "Service" && s.object["metadata"]["name"] == "productpage")
}

const ISTIOD_READY: &str = "istiod ready";

fn wait_for_istiod(socket: &Path, timeout: u64, tell: &impl Fn(&str)) -> anyhow::Result<()> {
    let mut replies = send(socket, &Request::Wait { what: WaitFor::Everything, seconds: timeout }, &[])?;
    while let Some(reply) = replies.next_reply()? {
        if let Reply::Progress { message } = reply {
            if message == ISTIOD_READY || message.starts_with("istiod ended") {
                tell(&message);
            }
            if message == ISTIOD_READY {
                break;
            }
        }
    }
    Ok(())
}

/// The inner half, in namespaces of its own.
pub(super) fn node(node: &args::Node) -> anyhow::Result<i32> {
    let images = images(node.images.as_deref())?;
    let own = std::env::current_exe().context("our own program")?;
    let home = enter::settle(NODE_NAME)?;
    // SAFETY: `up` made these descriptors for us and passes them by number; nobody else in this process knows them.
    let (ingress, control) =
        unsafe { (TcpListener::from_raw_fd(node.ingress_fd), UnixListener::from_raw_fd(node.control_fd)) };
    for fd in [node.ingress_fd, node.control_fd] {
        close_on_exec(fd)?;
    }
    log_to(&home.run.join("node.log"))?;
    let settings = Settings {
        home: home.run,
        images,
        programs: Programs::beside(own),
        mesh: !node.no_mesh,
        ingress,
        control,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Ctrl-C reaches us too; the outer half decides.
        let _interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            ended = agent::run(settings) => ended,
            _ = terminate.recv() => Ok(()),
        }
    })?;
    // Pods and istiod need no orderly end: the kernel ends what is in our namespaces.
    std::process::exit(0)
}

fn close_on_exec(fd: i32) -> anyhow::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    // SAFETY: the descriptor is open, see `node`.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(())
}

fn log_to(file: &Path) -> anyhow::Result<()> {
    let file = std::fs::File::create(file).with_context(|| file.display().to_string())?;
    let filter = tracing_subscriber::EnvFilter::try_from_env("FAIRWAY_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(file))
        .init();
    Ok(())
}

/// A process that waits for its end: the ingress' pod is a place to dial from, nothing more.
pub(super) fn pause() -> anyhow::Result<i32> {
    let mut signals = nix::sys::signal::SigSet::empty();
    signals.add(nix::sys::signal::Signal::SIGTERM);
    signals.add(nix::sys::signal::Signal::SIGINT);
    signals.thread_block()?;
    signals.wait()?;
    Ok(0)
}
