//! The control protocol between the commands and the node, over a unix socket in a folder only its user may enter.
//!
//! A connection is one request. The client writes one line of JSON (`Request`, as `{"do": "get", …}`); with `exec`, the
//! descriptors of stdin, stdout and stderr travel with its first byte (SCM_RIGHTS). The node answers with lines of JSON
//! (`Reply`, as `{"is": "line", …}`) until `done`, `exit` or `error`. When the client closes the connection, what it asked
//! for ends: a followed log, a capture, a command that still runs.

pub mod client;
pub mod server;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Objects, each with where it comes from.
    Apply {
        objects: Vec<Submitted>,
    },
    Delete {
        targets: Vec<Target>,
        missing_ok: bool,
    },
    Label {
        target: Target,
        set: Vec<(String, String)>,
        remove: Vec<String>,
    },
    Get {
        kind: String,
        name: Option<String>,
        namespace: Option<String>,
        selector: Vec<(String, String)>,
    },
    Restart {
        target: Target,
    },
    Scale {
        target: Target,
        replicas: u32,
    },
    /// Streams progress until it is done or the time is over.
    Wait {
        what: WaitFor,
        seconds: u64,
    },
    Logs {
        namespace: Option<String>,
        pod: String,
        container: Option<String>,
        tail: usize,
        follow: bool,
    },
    Exec {
        namespace: Option<String>,
        pod: String,
        container: Option<String>,
        argv: Vec<String>,
        directory: Option<PathBuf>,
    },
    Capture {
        namespace: Option<String>,
        pod: String,
        seconds: u64,
        contains: Vec<String>,
    },
    Down,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Submitted {
    pub origin: String,
    pub object: Value,
}

/// One object, as a user names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub enum WaitFor {
    /// istiod, ztunnel, every workload and waypoint.
    Everything,
    Rollout {
        target: Target,
    },
    Gone {
        targets: Vec<Target>,
    },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Reply {
    /// What became of an object: `created`, `configured`, `unchanged`, `deleted` …
    Changed {
        object: String,
        how: String,
    },
    Refused {
        origin: String,
        object: String,
        message: String,
    },
    Warning {
        message: String,
    },
    Progress {
        message: String,
    },
    Objects {
        objects: Vec<Value>,
    },
    Line {
        text: String,
    },
    Captured {
        report: Value,
    },
    Exit {
        code: i32,
    },
    Error {
        message: String,
    },
    Done,
}

impl Reply {
    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Exit { .. } | Self::Error { .. } | Self::Done)
    }
}

/// The folder of the control socket: $FAIRWAY_RUN, else $XDG_RUNTIME_DIR/fairway, else /tmp/fairway-UID.
#[must_use]
pub fn folder(env: impl Fn(&str) -> Option<String>, uid: u32) -> PathBuf {
    let set = |name| env(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("FAIRWAY_RUN")
        .or_else(|| set("XDG_RUNTIME_DIR").map(|d| d.join("fairway")))
        .unwrap_or_else(|| PathBuf::from(format!("/tmp/fairway-{uid}")))
}

#[must_use]
pub fn socket(folder: &std::path::Path) -> PathBuf {
    folder.join("control.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_environment() {
        let check = |vars: &[(&str, &str)], expect: &str| {
            let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(folder(env, 7), PathBuf::from(expect), "{vars:?}");
        };
        check(&[], "/tmp/fairway-7");
        check(&[("XDG_RUNTIME_DIR", "/run/user/7")], "/run/user/7/fairway");
        check(&[("XDG_RUNTIME_DIR", "/run/user/7"), ("FAIRWAY_RUN", "/a")], "/a");
        check(&[("FAIRWAY_RUN", "")], "/tmp/fairway-7");
    }
}
