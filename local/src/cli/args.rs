//! The command line, in `kubectl`'s words where it has them.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand, ValueEnum};

use crate::control::Target;

#[derive(Debug, Parser)]
#[command(name = "fairway", version, about = "An Istio ambient mesh on this machine, without a cluster")]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Start a mesh and apply a folder's manifests; ends with Ctrl-C, and nothing is left
    Up(Up),
    /// Create or change objects
    Apply(Apply),
    /// Delete objects
    Delete(Delete),
    /// Set or remove (`name-`) labels
    Label(Label),
    /// Show objects
    Get(Get),
    /// Show pods, services and waypoints, and what is in the mesh
    Ps,
    /// Show a pod's log (also: `istiod`)
    Logs(Logs),
    /// Run a command in a pod (also: `node`)
    Exec(Exec),
    /// Replace a workload's pods one by one
    Restart(Restart),
    /// Change how many pods a workload has
    Scale(Scale),
    /// Watch a pod's traffic: packets per port, and whether given texts can be read in them
    Capture(Capture),
    /// Wait until everything is ready
    Wait(Wait),
    /// End the mesh
    Down,
    #[command(hide = true)]
    Node(Node),
    #[command(hide = true)]
    Pause,
}

#[derive(Debug, clap::Args)]
pub(super) struct Up {
    /// A folder of manifests (*.yaml, in order), or one file
    pub(super) path: Option<PathBuf>,
    /// Run a command once everything is ready, then end the mesh with its exit code
    #[arg(long, value_name = "CMD")]
    pub(super) exec: Option<String>,
    /// The port of 127.0.0.1 that leads to the service `productpage`, or the one annotated fairway.dev/ingress; 0: any
    #[arg(long, default_value_t = 9080)]
    pub(super) port: u16,
    /// Another table of which program stands in for which image
    #[arg(long, value_name = "FILE")]
    pub(super) images: Option<PathBuf>,
    /// Pods and services only: no istiod, ztunnel and waypoints
    #[arg(long)]
    pub(super) no_mesh: bool,
    /// Seconds everything may take to become ready
    #[arg(long, default_value_t = 180)]
    pub(super) timeout: u64,
}

#[derive(Debug, clap::Args)]
pub(super) struct Node {
    #[arg(long)]
    pub(super) ingress_fd: i32,
    #[arg(long)]
    pub(super) control_fd: i32,
    #[arg(long)]
    pub(super) images: Option<PathBuf>,
    #[arg(long)]
    pub(super) no_mesh: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    /// Files or folders; `-` is standard input
    #[arg(short = 'f', long = "filename", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// For objects that name no namespace
    #[arg(short, long, default_value = "default")]
    pub(super) namespace: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    #[arg(short = 'f', long = "filename")]
    pub(super) files: Vec<PathBuf>,
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    #[arg(short, long, default_value = "default")]
    pub(super) namespace: String,
    #[arg(long)]
    pub(super) ignore_not_found: bool,
    /// Do not wait until pods have ended
    #[arg(long)]
    pub(super) no_wait: bool,
    #[arg(long, default_value_t = 60)]
    pub(super) timeout: u64,
}

#[derive(Debug, clap::Args)]
pub(super) struct Label {
    pub(super) kind: String,
    pub(super) name: String,
    /// name=value, or `name-` to remove it
    #[arg(required = true, allow_hyphen_values = true)]
    pub(super) labels: Vec<String>,
    #[arg(short, long, default_value = "default")]
    pub(super) namespace: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Wide,
    Yaml,
    Json,
    Name,
}

#[derive(Debug, clap::Args)]
pub(super) struct Get {
    pub(super) kind: String,
    pub(super) name: Option<String>,
    #[arg(short, long, default_value = "default")]
    pub(super) namespace: String,
    #[arg(short = 'A', long)]
    pub(super) all_namespaces: bool,
    /// name=value[,…]
    #[arg(short = 'l', long)]
    pub(super) selector: Option<String>,
    #[arg(short, long, default_value = "table")]
    pub(super) output: Output,
}

#[derive(Debug, clap::Args)]
pub(super) struct Logs {
    /// The pod's name or the beginning of it
    pub(super) pod: String,
    #[arg(short, long)]
    pub(super) namespace: Option<String>,
    #[arg(short, long)]
    pub(super) container: Option<String>,
    #[arg(short, long)]
    pub(super) follow: bool,
    /// Only the last lines
    #[arg(long)]
    pub(super) tail: Option<usize>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Exec {
    /// The pod's name or the beginning of it; `node`: outside any pod
    pub(super) pod: String,
    #[arg(short, long)]
    pub(super) namespace: Option<String>,
    #[arg(short, long)]
    pub(super) container: Option<String>,
    #[arg(last = true, required = true)]
    pub(super) command: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Restart {
    /// KIND/NAME
    pub(super) target: String,
    #[arg(short, long, default_value = "default")]
    pub(super) namespace: String,
    /// Until the new pods are ready and the old ones gone
    #[arg(long)]
    pub(super) wait: bool,
    #[arg(long, default_value_t = 120)]
    pub(super) timeout: u64,
}

#[derive(Debug, clap::Args)]
pub(super) struct Scale {
    /// KIND/NAME
    pub(super) target: String,
    #[arg(long)]
    pub(super) replicas: u32,
    #[arg(short, long, default_value = "default")]
    pub(super) namespace: String,
    #[arg(long)]
    pub(super) wait: bool,
    #[arg(long, default_value_t = 120)]
    pub(super) timeout: u64,
}

#[derive(Debug, clap::Args)]
pub(super) struct Capture {
    pub(super) pod: String,
    #[arg(short, long)]
    pub(super) namespace: Option<String>,
    #[arg(long, default_value_t = 5)]
    pub(super) seconds: u64,
    /// Count the packets in which this can be read; may be repeated
    #[arg(long)]
    pub(super) contains: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Wait {
    #[arg(long, default_value_t = 120)]
    pub(super) timeout: u64,
}

/// `KIND/NAME`.
pub(super) fn slashed(text: &str, namespace: &str) -> anyhow::Result<Target> {
    let (kind, name) = text.split_once('/').with_context(|| format!("{text:?}: expected KIND/NAME"))?;
    Ok(super::target(kind, name, namespace))
}

type Pairs = Vec<(String, String)>;

/// What to set and what to remove.
pub(super) fn labels(words: &[String]) -> anyhow::Result<(Pairs, Vec<String>)> {
    let (mut set, mut remove) = (Vec::new(), Vec::new());
    for word in words {
        match (word.split_once('='), word.strip_suffix('-')) {
            (Some((name, value)), _) if !name.is_empty() => set.push((name.to_owned(), value.to_owned())),
            (None, Some(name)) if !name.is_empty() => remove.push(name.to_owned()),
            _ => bail!("{word:?}: expected name=value, or name- to remove it"),
        }
    }
    Ok((set, remove))
}

pub(super) fn selector(text: &Option<String>) -> anyhow::Result<Pairs> {
    let parts = text.as_deref().unwrap_or_default().split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) =
                part.split_once('=').with_context(|| format!("{part:?}: expected name=value"))?;
            Ok((name.to_owned(), value.trim_start_matches('=').to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn commands_are_read() {
        let check = |line: &str| {
            Args::try_parse_from(line.split_whitespace()).map(|a| a.verb).map_err(|e| e.to_string())
        };
        let Ok(Verb::Exec(exec)) = check("fairway exec -n bookinfo curl -- bookinfo load --url http://a")
        else {
            panic!()
        };
        assert_eq!((exec.pod.as_str(), exec.namespace.as_deref()), ("curl", Some("bookinfo")));
        assert_eq!(exec.command, ["bookinfo", "load", "--url", "http://a"]);
        let Ok(Verb::Label(label)) = check("fairway label namespace bookinfo istio.io/use-waypoint-") else {
            panic!()
        };
        assert_eq!(label.labels, ["istio.io/use-waypoint-"]);
        let Ok(Verb::Up(up)) = check("fairway up examples/bookinfo --port 0 --exec ./check.sh") else {
            panic!()
        };
        assert_eq!((up.port, up.exec.as_deref()), (0, Some("./check.sh")));
        let Ok(Verb::Get(get)) = check("fairway get pods -n bookinfo -l app=x,version=v1 -o wide") else {
            panic!()
        };
        assert_eq!((get.output, get.selector.as_deref()), (Output::Wide, Some("app=x,version=v1")));
        let Ok(Verb::Scale(scale)) = check("fairway scale -n b deployment/w --replicas 0 --wait") else {
            panic!()
        };
        assert_eq!((scale.target.as_str(), scale.replicas, scale.wait), ("deployment/w", 0, true));
        assert!(check("fairway exec curl").is_err());
        assert!(check("fairway apply").is_err());
        assert!(check("fairway logs curl -f --tail 3").is_ok());
        assert!(check("fairway delete -f a.yaml -f b.yaml").is_ok());
        assert!(check("fairway capture curl --seconds 2 --contains a --contains b").is_ok());
    }

    #[test]
    fn labels_are_set_and_removed() {
        let check = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            labels(&words).map_err(|e| e.to_string())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            check(&["a=b", "c-", "d="]),
            Ok((vec![pair("a", "b"), pair("d", "")], vec!["c".to_owned()]))
        );
        for wrong in ["a", "-", "=b"] {
            assert!(check(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn selectors_and_targets() {
        assert_eq!(selector(&Some("a=b,c==d".into())).unwrap().len(), 2);
        assert_eq!(selector(&Some("c==d".into())).unwrap()[0].1, "d");
        assert!(selector(&None).unwrap().is_empty());
        assert!(selector(&Some("a".into())).is_err());
        assert_eq!(slashed("deployment/web", "n").unwrap().name, "web");
        assert!(slashed("web", "n").is_err());
    }
}
