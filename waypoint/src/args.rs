//! The command line: pilot-agent's, because istiod's waypoint template starts the container with it.
//!
//! Flags we do not know are ignored as pilot-agent does (`UnknownFlags: true`): an overlay written for it must not
//! keep our container from starting. Spec: `manifests/charts/istio-control/istio-discovery/files/waypoint.yaml`.

use std::collections::HashMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Proxy(ProxyArgs),
    /// `request GET stats`: one request to the admin port of a running proxy.
    Request {
        method: String,
        path: String,
    },
    /// `wait`: until the proxy is ready.
    Wait {
        timeout_seconds: u64,
    },
    Version,
    Help,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyArgs {
    /// `router`, `sidecar` and `waypoint` are pilot-agent's; only the last is ours.
    pub role: String,
    pub domain: Option<String>,
    pub service_cluster: Option<String>,
    /// Envoy's level, from `--proxyLogLevel`.
    pub proxy_log_level: Option<String>,
    /// pilot-agent's own, `default:info`.
    pub log_output_level: Option<String>,
    pub log_as_json: bool,
    pub concurrency: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    #[error("unknown command {0:?}; known: proxy, request, wait, version")]
    Command(String),
    #[error("proxy role {0:?}: this binary is a waypoint")]
    Role(String),
    #[error("--{0}: {1:?} is not a number")]
    Number(&'static str, String),
    #[error("request takes a method and a path, e.g. `request GET stats`")]
    Request,
}

/// Parses everything after the program name.
///
/// # Errors
/// When the command is none of ours or a value we read is malformed; never for an unknown flag.
pub fn parse(args: &[String]) -> Result<Command, ArgsError> {
    let words = Words::collect(args);
    let Some(command) = words.positional.first() else { return Ok(Command::Help) };
    match command.as_str() {
        "proxy" => proxy(&words).map(Command::Proxy),
        "request" => match &words.positional[1..] {
            [method, path, ..] => {
                Ok(Command::Request { method: method.to_ascii_uppercase(), path: path.clone() })
            }
            _ => Err(ArgsError::Request),
        },
        "wait" => Ok(Command::Wait { timeout_seconds: words.number("timeoutSeconds")?.unwrap_or(60) as u64 }),
        "version" => Ok(Command::Version),
        "help" => Ok(Command::Help),
        other => Err(ArgsError::Command(other.to_owned())),
    }
}

fn proxy(words: &Words) -> Result<ProxyArgs, ArgsError> {
    let role = words.positional.get(1).cloned().unwrap_or_else(|| "waypoint".to_owned());
    if role != "waypoint" {
        return Err(ArgsError::Role(role));
    }
    Ok(ProxyArgs {
        role,
        domain: words.text("domain"),
        service_cluster: words.text("serviceCluster"),
        proxy_log_level: words.text("proxyLogLevel"),
        log_output_level: words.text("log_output_level"),
        log_as_json: words.flags.get("log_as_json").is_some_and(|value| value != "false"),
        concurrency: words.number("concurrency")?,
    })
}

/// Flags that take no value when written without `=`; all others take the next word.
const SWITCHES: [&str; 3] = ["log_as_json", "profiling", "help"];

struct Words {
    positional: Vec<String>,
    flags: HashMap<String, String>,
}

impl Words {
    fn collect(args: &[String]) -> Self {
        let mut words = Self { positional: Vec::new(), flags: HashMap::new() };
        let mut rest = args.iter().peekable();
        while let Some(word) = rest.next() {
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                words.positional.push(word.clone());
                continue;
            };
            match flag.split_once('=') {
                Some((name, value)) => words.flags.insert(name.to_owned(), value.to_owned()),
                None if SWITCHES.contains(&flag) => words.flags.insert(flag.to_owned(), "true".to_owned()),
                None => {
                    let value = rest.next_if(|next| !next.starts_with("--")).cloned().unwrap_or_default();
                    words.flags.insert(flag.to_owned(), value)
                }
            };
        }
        words
    }

    fn text(&self, name: &str) -> Option<String> {
        self.flags.get(name).filter(|value| !value.is_empty()).cloned()
    }

    fn number(&self, name: &'static str) -> Result<Option<usize>, ArgsError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| ArgsError::Number(name, text))
    }
}

#[cfg(test)]
mod tests;
