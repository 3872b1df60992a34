//! The commands: arguments to requests, replies to text. `up` also starts the node.

mod args;
mod show;
mod up;

use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;

use crate::control::client::{Replies, send};
use crate::control::{self, Reply, Request, Submitted, Target, WaitFor};
use crate::manifest::object::Object;
use crate::manifest::parse;
use args::{Args, Verb};

/// Runs the command line; `main` is nothing but this.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    match run(args.verb) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<i32> {
    let socket = control::socket(&run_folder());
    let ask = |request: &Request| send(&socket, request, &[]);
    match verb {
        Verb::Up(up) => return up::up(&up),
        Verb::Node(node) => return up::node(&node),
        Verb::Pause => return up::pause(),
        Verb::Apply(apply) => {
            let objects = read(&apply.files, &apply.namespace)?;
            return follow(ask(&Request::Apply { objects })?);
        }
        Verb::Delete(delete) => return self::delete(&socket, &delete),
        Verb::Label(label) => {
            let (set, remove) = args::labels(&label.labels)?;
            let target = target(&label.kind, &label.name, &label.namespace);
            return follow(ask(&Request::Label { target, set, remove })?);
        }
        Verb::Get(get) => return self::get(&socket, &get),
        Verb::Ps => std::io::stdout().write_all(show::everything(&socket)?.as_bytes())?,
        Verb::Restart(restart) => {
            let target = args::slashed(&restart.target, &restart.namespace)?;
            let code = follow(ask(&Request::Restart { target: target.clone() })?)?;
            return wait_for(&socket, restart.wait, code, WaitFor::Rollout { target }, restart.timeout);
        }
        Verb::Scale(scale) => {
            let target = args::slashed(&scale.target, &scale.namespace)?;
            let code = follow(ask(&Request::Scale { target: target.clone(), replicas: scale.replicas })?)?;
            return wait_for(&socket, scale.wait, code, WaitFor::Rollout { target }, scale.timeout);
        }
        Verb::Logs(logs) => {
            let request = Request::Logs {
                namespace: logs.namespace,
                pod: logs.pod,
                container: logs.container,
                tail: logs.tail.unwrap_or(usize::MAX),
                follow: logs.follow,
            };
            return follow(ask(&request)?);
        }
        Verb::Exec(exec) => {
            let request = Request::Exec {
                namespace: exec.namespace,
                pod: exec.pod,
                container: exec.container,
                argv: exec.command,
                directory: std::env::current_dir().ok(),
            };
            let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
            return follow(send(&socket, &request, &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])?);
        }
        Verb::Capture(capture) => {
            let request = Request::Capture {
                namespace: capture.namespace,
                pod: capture.pod,
                seconds: capture.seconds,
                contains: capture.contains,
            };
            return follow(ask(&request)?);
        }
        Verb::Wait(wait) => {
            return follow(ask(&Request::Wait { what: WaitFor::Everything, seconds: wait.timeout })?);
        }
        Verb::Down => return follow(ask(&Request::Down)?),
    }
    Ok(0)
}

/// Where the control socket lies.
fn run_folder() -> PathBuf {
    control::folder(|name| std::env::var(name).ok(), nix::unistd::getuid().as_raw())
}

fn target(kind: &str, name: &str, namespace: &str) -> Target {
    Target { kind: kind.to_owned(), name: name.to_owned(), namespace: namespace.to_owned() }
}

/// The objects of files and folders, in order.
fn read(paths: &[PathBuf], namespace: &str) -> anyhow::Result<Vec<Submitted>> {
    let mut objects = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            let text = std::io::read_to_string(std::io::stdin()).context("standard input")?;
            objects.extend(parse::parse("standard input", &text, namespace)?);
            continue;
        }
        for file in parse::files(path)? {
            objects.extend(parse::read(&file, namespace)?);
        }
    }
    let submitted =
        |(origin, object): (parse::Origin, Object)| Submitted { origin: origin.file, object: object.json };
    Ok(objects.into_iter().map(submitted).collect())
}

fn delete(socket: &Path, delete: &args::Delete) -> anyhow::Result<i32> {
    let targets: Vec<Target> = match (&delete.files[..], &delete.kind, &delete.name) {
        ([], Some(kind), None) => vec![args::slashed(kind, &delete.namespace)?],
        ([], Some(kind), Some(name)) => vec![target(kind, name, &delete.namespace)],
        ([_, ..], None, None) => {
            let objects = read(&delete.files, &delete.namespace)?;
            let text = |o: &Submitted, pointer: &str| {
                o.object.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
            };
            let one = |o: &Submitted| Target {
                kind: text(o, "/kind"),
                name: text(o, "/metadata/name"),
                namespace: text(o, "/metadata/namespace"),
            };
            // What was made last goes first.
            objects.iter().rev().map(one).collect()
        }
        _ => bail!("give either files (-f) or KIND NAME"),
    };
    let request = Request::Delete {
        targets: targets.clone(),
        missing_ok: delete.ignore_not_found || !delete.files.is_empty(),
    };
    let code = follow(send(socket, &request, &[])?)?;
    wait_for(socket, !delete.no_wait, code, WaitFor::Gone { targets }, delete.timeout)
}

fn get(socket: &Path, get: &args::Get) -> anyhow::Result<i32> {
    let (kind, name) = match get.kind.split_once('/') {
        Some((kind, name)) => (kind.to_owned(), Some(name.to_owned())),
        None => (get.kind.clone(), get.name.clone()),
    };
    let namespace = (!get.all_namespaces).then(|| get.namespace.clone());
    let single = name.is_some();
    let request = Request::Get { kind, name, namespace, selector: args::selector(&get.selector)? };
    let objects = show::objects(send(socket, &request, &[])?)?;
    let text = show::listed(&objects, get.output, get.all_namespaces, single)?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(0)
}

fn wait_for(socket: &Path, wanted: bool, code: i32, what: WaitFor, seconds: u64) -> anyhow::Result<i32> {
    if !wanted || code != 0 {
        return Ok(code);
    }
    follow(send(socket, &Request::Wait { what, seconds }, &[])?)
}

/// Prints replies until the last; 1 if something was refused.
fn follow(mut replies: Replies) -> anyhow::Result<i32> {
    let mut code = 0;
    let mut out = std::io::stdout().lock();
    while let Some(reply) = replies.next_reply()? {
        match reply {
            Reply::Changed { object, how } => writeln!(out, "{object} {how}")?,
            Reply::Refused { origin, object, message } => {
                eprintln!("error: {}", show::refusal(&origin, &object, &message));
                code = 1;
            }
            Reply::Warning { message } => eprintln!("warning: {message}"),
            Reply::Progress { message } => writeln!(out, "{message}")?,
            Reply::Line { text } => writeln!(out, "{text}")?,
            Reply::Captured { report } => writeln!(out, "{report}")?,
            Reply::Exit { code: exit } => code = exit,
            Reply::Objects { .. } | Reply::Error { .. } | Reply::Done => {}
        }
    }
    Ok(code)
}
