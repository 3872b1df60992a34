//! Requests: sorted out, and those that look into pods.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::broadcast::error::RecvError;

use super::{Agent, Replies};
use crate::control::server::Call;
use crate::control::{Reply, Request};
use crate::limits::CAPTURE_MAX;
use crate::manifest::Key;
use crate::manifest::kinds::POD;
use crate::pods::capture::{CaptureReport, CaptureRequest, capture};
use crate::pods::exec::{ExecRequest, exit_code};
use crate::pods::log::ContainerLog;
use crate::pods::pod::Pod;

/// A name for what belongs to no pod.
const NODE_WORD: &str = "node";
const ISTIOD_WORD: &str = "istiod";

impl Agent {
    pub(super) fn call(&mut self, call: Call) {
        let replies = call.replies;
        match call.request {
            Request::Apply { objects } => self.apply(objects, replies),
            Request::Delete { targets, missing_ok } => self.delete(targets, missing_ok, &replies),
            Request::Label { target, set, remove } => self.label(&target, set, remove, replies),
            Request::Get { kind, name, namespace, selector } => {
                answer(&replies, self.list(&kind, name.as_deref(), namespace.as_deref(), &selector));
            }
            Request::Restart { target } => self.restart(&target, replies),
            Request::Scale { target, replicas } => self.scale(&target, replicas, replies),
            Request::Wait { what, seconds } => self.wait(what, Duration::from_secs(seconds), replies),
            Request::Logs { namespace, pod, container, tail, follow } => {
                match self.log(namespace.as_deref(), &pod, container.as_deref()) {
                    Ok(log) => drop(tokio::spawn(show_log(log, tail, follow, replies))),
                    Err(message) => drop(replies.send(Reply::Error { message })),
                }
            }
            Request::Exec { namespace, pod, container, argv, directory } => {
                let Ok(stdio) = <[_; 3]>::try_from(call.fds) else {
                    let message = "exec needs three descriptors".to_owned();
                    return drop(replies.send(Reply::Error { message }));
                };
                let request = ExecRequest { container, argv, env: Vec::new(), stdio, working_dir: None };
                self.exec(namespace.as_deref(), &pod, request, directory, replies);
            }
            Request::Capture { namespace, pod, seconds, contains } => {
                self.capture(namespace.as_deref(), &pod, seconds, contains, replies);
            }
            Request::Down => self.down.push(replies),
        }
    }

    /// The pod of that name, or the only one whose name begins so.
    pub(super) fn pod_key(&self, namespace: Option<&str>, name: &str) -> Result<Key, String> {
        let pods = self.store.of_kind(&POD).filter(|p| namespace.is_none_or(|n| p.key.namespace == n));
        let mut begins: Vec<_> = pods.filter(|p| p.key.name.starts_with(name)).collect();
        if let Some(exact) = begins.iter().find(|p| p.key.name == name) {
            return Ok(exact.key.clone());
        }
        // While one replaces another, the one that stays is meant.
        if begins.iter().any(|p| !p.is_terminating()) {
            begins.retain(|p| !p.is_terminating());
        }
        // `reviews` means reviews-…, not reviews-v1 and reviews-v2: several replicas of one workload are alike.
        let owners: std::collections::BTreeSet<_> =
            begins.iter().map(|p| p.str("/metadata/generateName")).collect();
        match (begins.as_slice(), owners.len()) {
            ([], _) => Err(format!("pod {name:?} not found{}", in_namespace(namespace))),
            ([one], _) => Ok(one.key.clone()),
            ([first, ..], 1) if !first.str("/metadata/generateName").is_empty() => Ok(first.key.clone()),
            (several, _) => {
                let names: Vec<_> =
                    several.iter().map(|p| format!("{}/{}", p.key.namespace, p.key.name)).collect();
                Err(format!("pod {name:?} is ambiguous: {}", names.join(", ")))
            }
        }
    }

    fn pod(&self, namespace: Option<&str>, name: &str) -> Result<Pod, String> {
        let key = self.pod_key(namespace, name)?;
        let running = self.running.values().find(|r| r.key == key).and_then(|r| r.pod()).cloned();
        running.ok_or_else(|| format!("{key} does not run yet"))
    }

    fn log(
        &self,
        namespace: Option<&str>,
        name: &str,
        container: Option<&str>,
    ) -> Result<ContainerLog, String> {
        if name == ISTIOD_WORD {
            return self.istiod_log.clone().ok_or_else(|| "there is no istiod".to_owned());
        }
        let pod = self.pod(namespace, name)?;
        let first = pod.spec().containers.first().map(|c| c.name.clone()).unwrap_or_default();
        let container = container.unwrap_or(&first);
        pod.log(container).cloned().ok_or_else(|| format!("there is no container {container:?}"))
    }

    fn exec(
        &self,
        namespace: Option<&str>,
        name: &str,
        request: ExecRequest,
        directory: Option<PathBuf>,
        replies: Replies,
    ) {
        if name == NODE_WORD {
            let path = std::env::var("PATH").unwrap_or_default();
            let path = format!("{}:{path}", self.programs.folder().display());
            tokio::spawn(async move {
                let ran = exec_in_node(request, path, directory);
                tokio::select! {
                    code = ran => answer_exit(&replies, code.map_err(|e| e.to_string())),
                    () = replies.closed() => {}
                }
            });
            return;
        }
        match self.pod(namespace, name) {
            Err(message) => drop(replies.send(Reply::Error { message })),
            Ok(pod) => {
                tokio::spawn(async move {
                    tokio::select! {
                        code = pod.exec(request) => answer_exit(&replies, code.map_err(|e| e.to_string())),
                        () = replies.closed() => {} // the command ends with its future
                    }
                });
            }
        }
    }

    fn capture(
        &self,
        namespace: Option<&str>,
        name: &str,
        seconds: u64,
        contains: Vec<String>,
        replies: Replies,
    ) {
        let pod = match self.pod(namespace, name) {
            Ok(pod) => pod,
            Err(message) => return drop(replies.send(Reply::Error { message })),
        };
        let Some(link) = pod.veth().map(str::to_owned) else {
            let message = "the pod shares the node's network".to_owned();
            return drop(replies.send(Reply::Error { message }));
        };
        let duration = Duration::from_secs(seconds).min(CAPTURE_MAX);
        let needles = contains.iter().map(|text| text.as_bytes().to_vec()).collect();
        let node = std::sync::Arc::clone(self.network.ns());
        tokio::spawn(async move {
            let watching = async {
                let report = capture(&node, &link, &CaptureRequest { duration, needles }).await;
                let last = match report {
                    Ok(report) => {
                        let _ = replies.send(Reply::Captured { report: report_json(&report, &contains) });
                        Reply::Done
                    }
                    Err(error) => Reply::Error { message: error.to_string() },
                };
                let _ = replies.send(last); // the client is gone
            };
            tokio::select! { () = watching => {}, () = replies.closed() => {} }
        });
    }
}

fn in_namespace(namespace: Option<&str>) -> String {
    namespace.map(|n| format!(" in namespace {n}")).unwrap_or_default()
}

fn answer(replies: &Replies, outcome: Result<Vec<serde_json::Value>, String>) {
    match outcome {
        Ok(objects) => {
            let _ = replies.send(Reply::Objects { objects });
            let _ = replies.send(Reply::Done);
        }
        Err(message) => drop(replies.send(Reply::Error { message })),
    }
}

fn answer_exit(replies: &Replies, outcome: Result<i32, String>) {
    let reply = match outcome {
        Ok(code) => Reply::Exit { code },
        Err(message) => Reply::Error { message },
    };
    let _ = replies.send(reply); // the client is gone
}

async fn exec_in_node(
    request: ExecRequest,
    path: String,
    directory: Option<PathBuf>,
) -> std::io::Result<i32> {
    let [stdin, stdout, stderr] = request.stdio.map(Stdio::from);
    let mut argv = request.argv.into_iter();
    let program = argv.next().unwrap_or_default();
    let mut command = Command::new(program);
    command.args(argv).env("PATH", path).stdin(stdin).stdout(stdout).stderr(stderr).kill_on_drop(true);
    if let Some(directory) = directory.filter(|d| d.is_dir()) {
        command.current_dir(directory);
    }
    Ok(exit_code(command.status().await?))
}

async fn show_log(log: ContainerLog, tail: usize, follow: bool, replies: Replies) {
    let send = |text: String| replies.send(Reply::Line { text }).is_ok();
    let (kept, mut further) = log.follow();
    let skipped = kept.len().saturating_sub(tail);
    for line in kept.into_iter().skip(skipped) {
        if !send(line) {
            return;
        }
    }
    if follow {
        pass_on(&mut further, &replies).await;
    }
    let _ = replies.send(Reply::Done); // the client is gone
}

/// Until the log ends or nobody reads any more.
async fn pass_on(further: &mut tokio::sync::broadcast::Receiver<String>, replies: &Replies) {
    loop {
        let line = tokio::select! {
            line = further.recv() => line,
            () = replies.closed() => return,
        };
        let text = match line {
            Ok(line) => line,
            Err(RecvError::Lagged(missed)) => format!("[{missed} lines missed]"),
            Err(RecvError::Closed) => return,
        };
        if replies.send(Reply::Line { text }).is_err() {
            return;
        }
    }
}

/// `matched` is over all texts; `contains` apart.
fn report_json(report: &CaptureReport, contains: &[String]) -> serde_json::Value {
    let ports: serde_json::Map<String, serde_json::Value> =
        report.ports.iter().map(|(port, count)| (port.to_string(), count.packets.into())).collect();
    let found: serde_json::Map<String, serde_json::Value> =
        contains.iter().zip(&report.found).map(|(text, n)| (text.clone(), (*n).into())).collect();
    serde_json::json!({
        "packets": report.packets, "bytes": report.bytes, "ports": ports, "other_ports": report.other.packets,
        "matched": report.found.iter().sum::<u64>(), "contains": found,
    })
}
