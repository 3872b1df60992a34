//! What this process is told to be: argv, environment and mounts of istiod's waypoint template, in one value.
//!
//! Not the mesh's configuration, which comes by xDS. Spec: pilot-agent's contract (`pilot/cmd/pilot-agent`).

use crate::args::ProxyArgs;
use crate::env::{Env, go_duration, read_downward_api};
use crate::limits;
use mesh::channel::{Auth, ChannelOptions, RootSource, TokenSource};
use serde_json::Value as Json;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    pub pod: Pod,
    pub trust_domain: String,
    pub cluster_id: String,
    /// `host:port` of istiod's xDS.
    pub discovery_address: String,
    /// `host:port` of the CA; istiod unless told otherwise.
    pub ca_address: String,
    /// Roots that istiod and the CA are checked against; a file, re-read on each connection.
    pub xds_roots: RootSource,
    pub ca_roots: RootSource,
    pub token: TokenSource,
    /// SAN to expect of istiod instead of its address.
    pub istiod_san: Option<String>,
    pub xds_headers: Vec<(String, String)>,
    pub ca_headers: Vec<(String, String)>,
    pub certificate_ttl: Duration,
    /// PROXY_CONFIG as given: it goes into the node message.
    pub proxy_config: Json,
    pub workers: usize,
    pub service_cluster: String,
    pub domain: String,
    pub log: LogConfig,
    pub drain: DrainConfig,
    pub ports: Ports,
}

#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    pub namespace: String,
    pub service_account: String,
    /// First is the one the node id carries.
    pub ips: Vec<IpAddr>,
    pub labels: Vec<(String, String)>,
    pub annotations: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct LogConfig {
    pub json: bool,
    /// A `tracing` filter.
    pub filter: String,
}

#[derive(Clone, Copy, Debug)]
pub struct DrainConfig {
    pub termination: Duration,
    pub exit_on_zero: bool,
    pub minimum: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub hbone: u16,
    pub admin: u16,
    pub agent: u16,
    pub health: u16,
    pub prometheus: u16,
}

impl Default for Ports {
    /// Istio's, fixed by its templates, probes and scrape annotations.
    fn default() -> Self {
        Self { hbone: 15008, admin: 15000, agent: 15020, health: 15021, prometheus: 15090 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("{0}: {1:?} is no IP address")]
    Address(&'static str, String),
    #[error("PROXY_CONFIG is no JSON object: {0}")]
    ProxyConfig(String),
}

impl Config {
    /// Reads everything once.
    ///
    /// # Errors
    /// When something is missing without which istiod would send an empty configuration.
    pub fn read(args: &ProxyArgs, env: &Env<'_>) -> Result<Self, ConfigError> {
        let proxy_config = proxy_config(env)?;
        let pod = Pod::read(env)?;
        let text = |key: &str| proxy_config.get(key).and_then(Json::as_str).map(str::to_owned);
        let discovery_address =
            text("discoveryAddress").unwrap_or_else(|| "istiod.istio-system.svc:15012".to_owned());
        let roots = |names: &[&str]| {
            let named = names.iter().find_map(|name| env.text(name));
            RootSource::File(
                named.map_or_else(|| env.path("var/run/secrets/istio/root-cert.pem"), PathBuf::from),
            )
        };
        let default_domain = format!("{}.svc.cluster.local", pod.namespace);
        Ok(Self {
            trust_domain: env.text("TRUST_DOMAIN").unwrap_or_else(|| "cluster.local".to_owned()),
            cluster_id: env.text("ISTIO_META_CLUSTER_ID").unwrap_or_else(|| "Kubernetes".to_owned()),
            ca_address: env.text("CA_ADDR").unwrap_or_else(|| discovery_address.clone()),
            discovery_address,
            xds_roots: roots(&["XDS_ROOT_CA", "CA_ROOT_CA"]),
            ca_roots: roots(&["CA_ROOT_CA"]),
            token: token(env),
            istiod_san: env.text("ISTIOD_SAN"),
            xds_headers: headers(env, "XDS_HEADER_"),
            ca_headers: headers(env, "CA_HEADER_"),
            certificate_ttl: env.duration("SECRET_TTL").unwrap_or(mesh::limits::CERTIFICATE_TTL),
            workers: workers(args, env, &proxy_config),
            service_cluster: args
                .service_cluster
                .clone()
                .unwrap_or_else(|| format!("{}.{}", pod.service_account, pod.namespace)),
            domain: args.domain.clone().unwrap_or(default_domain),
            log: log(args),
            drain: DrainConfig {
                termination: text("terminationDrainDuration")
                    .as_deref()
                    .and_then(go_duration)
                    .unwrap_or(limits::TERMINATION_DRAIN),
                exit_on_zero: env.flag("EXIT_ON_ZERO_ACTIVE_CONNECTIONS"),
                minimum: env.duration("MINIMUM_DRAIN_DURATION").unwrap_or(limits::MINIMUM_DRAIN),
            },
            ports: Ports::default(),
            pod,
            proxy_config,
        })
    }

    #[must_use]
    pub fn xds_channel(&self) -> ChannelOptions {
        ChannelOptions {
            address: self.discovery_address.clone(),
            roots: self.xds_roots.clone(),
            alt_name: self.istiod_san.clone(),
        }
    }

    #[must_use]
    pub fn ca_channel(&self) -> ChannelOptions {
        ChannelOptions {
            address: self.ca_address.clone(),
            roots: self.ca_roots.clone(),
            alt_name: self.istiod_san.clone(),
        }
    }

    #[must_use]
    pub fn auth(&self, headers: &[(String, String)]) -> Auth {
        Auth { token: self.token.clone(), cluster_id: self.cluster_id.clone(), headers: headers.to_vec() }
    }
}

impl Pod {
    fn read(env: &Env<'_>) -> Result<Self, ConfigError> {
        let need = |name| env.text(name).ok_or(ConfigError::Missing(name));
        let list = env.text("INSTANCE_IPS").or_else(|| env.text("INSTANCE_IP"));
        let list = list.ok_or(ConfigError::Missing("INSTANCE_IP"))?;
        let ips = list
            .split(',')
            .map(|ip| ip.trim().parse().map_err(|_| ConfigError::Address("INSTANCE_IP", ip.to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        let service_account = env.text("SERVICE_ACCOUNT").or_else(|| env.text("ISTIO_META_SERVICE_ACCOUNT"));
        Ok(Self {
            name: need("POD_NAME")?,
            namespace: need("POD_NAMESPACE")?,
            service_account: service_account.ok_or(ConfigError::Missing("SERVICE_ACCOUNT"))?,
            ips,
            labels: read_downward_api(&env.path("etc/istio/pod/labels")),
            annotations: read_downward_api(&env.path("etc/istio/pod/annotations")),
        })
    }
}

fn proxy_config(env: &Env<'_>) -> Result<Json, ConfigError> {
    let Some(text) = env.text("PROXY_CONFIG") else { return Ok(Json::Object(serde_json::Map::new())) };
    match serde_json::from_str(&text) {
        Ok(value @ Json::Object(_)) => Ok(value),
        Ok(other) => Err(ConfigError::ProxyConfig(format!("it is {other}"))),
        Err(error) => Err(ConfigError::ProxyConfig(error.to_string())),
    }
}

/// The projected token when it is mounted; a mesh whose CA trusts something else runs without.
fn token(env: &Env<'_>) -> TokenSource {
    let path = env.path("var/run/secrets/tokens/istio-token");
    if path.exists() { TokenSource::File(path) } else { TokenSource::None }
}

fn headers(env: &Env<'_>, prefix: &str) -> Vec<(String, String)> {
    env.with_prefix(prefix).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect()
}

/// `--concurrency`, PROXY_CONFIG's, the container's CPU limit, the machine: the first that says something.
/// Istio: `ISTIO_CPU_LIMIT` is rounded up by the downward API.
fn workers(args: &ProxyArgs, env: &Env<'_>, proxy_config: &Json) -> usize {
    let configured = proxy_config.get("concurrency").and_then(Json::as_u64).map(|n| n as usize);
    let limit = env.text("ISTIO_CPU_LIMIT").and_then(|text| text.parse().ok());
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = [args.concurrency, configured, limit].into_iter().flatten().find(|n| *n > 0);
    wanted.unwrap_or_else(cores).clamp(1, 256)
}

/// Envoy's level words in `tracing`'s.
fn log(args: &ProxyArgs) -> LogConfig {
    let own = args.log_output_level.as_deref().unwrap_or("default:info");
    let own = own.split(',').find_map(|part| match part.split_once(':') {
        Some(("default" | "all", level)) => Some(level),
        None => Some(part),
        Some(_) => None,
    });
    let filter = match own.unwrap_or("info") {
        "none" | "off" => "off",
        "fatal" | "error" | "critical" => "error",
        "warn" | "warning" => "warn",
        "debug" => "debug",
        "trace" => "trace",
        _ => "info",
    };
    LogConfig { json: args.log_as_json, filter: filter.to_owned() }
}

#[cfg(test)]
pub(crate) mod tests;
