//! The environment, read once. The names are those of Istio's ztunnel chart; what is not listed here has no effect.
//!
//! Invariant: a setting that asks for something we do not do is an error at start, never ignored (`Unsupported`).

mod environment;

use crate::limits;
use environment::Environment;
pub use environment::{ConfigError, Unsupported};
use mesh::channel::{RootSource, TokenSource};
use mesh::log::Format;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

const ISTIOD: &str = "https://istiod.istio-system.svc:15012";
const ROOTS: &str = "./var/run/secrets/istio/root-cert.pem";
const TOKEN: &str = "./var/run/secrets/tokens/istio-token";

#[derive(Clone, Debug)]
pub struct Config {
    /// `XDS_ADDRESS`, `XDS_ROOT_CA` (a path or PEM), `ALT_XDS_HOSTNAME`, `XDS_HEADER_*`.
    pub xds: ControlPlane,
    /// `CA_ADDRESS`, `CA_ROOT_CA`, `ALT_CA_HOSTNAME`, `CA_HEADER_*`.
    pub ca: ControlPlane,
    /// `AUTH_TOKEN` (a path or the token); by default the projected token, where there is one.
    pub token: TokenSource,
    /// `SECRET_TTL`.
    pub secret_ttl: Duration,
    /// `CLUSTER_ID`, `ISTIO_META_CLUSTER_ID`; default `Kubernetes`.
    pub cluster_id: String,
    /// `NETWORK`.
    pub network: String,
    /// `CLUSTER_DOMAIN`; default `cluster.local`.
    pub cluster_domain: String,
    /// `POD_NAME`, `POD_NAMESPACE`, `NODE_NAME`, `INSTANCE_IP`.
    pub pod_name: String,
    pub pod_namespace: String,
    pub node_name: String,
    pub instance_ip: String,
    /// `ISTIO_META_*` as text and `ISTIO_METAJSON_*` as JSON, for the node's metadata.
    pub metadata: Vec<(String, serde_json::Value)>,
    /// `INPOD_UDS`: istio-cni's socket.
    pub inpod_uds: PathBuf,
    /// `PACKET_MARK`.
    pub mark: u32,
    /// `ENABLE_ORIG_SRC`: applications see the client's address.
    pub preserve_source: bool,
    /// `IPV6_ENABLED`.
    pub ipv6: bool,
    /// `ISTIO_META_DNS_CAPTURE`, `ISTIO_META_DNS_PROXY_ADDR`, `PREFERED_SERVICE_NAMESPACE`; none: no DNS in pods.
    pub dns: Option<DnsConfig>,
    /// `ZTUNNEL_WORKER_THREADS` (a number, `0` for all cores, or `N%`), else by `ZTUNNEL_RESOURCE_CPU_LIMIT`, else
    /// `ZTUNNEL_RESOURCE_CPU_REQUEST` and a quarter of the cores, at least two.
    pub workers: usize,
    /// `POOL_MAX_STREAMS_PER_CONNECTION`.
    pub pool_streams: usize,
    /// `POOL_UNUSED_RELEASE_TIMEOUT`.
    pub pool_idle: Duration,
    /// `HTTP2_STREAM_WINDOW_SIZE`, `HTTP2_CONNECTION_WINDOW_SIZE`, `HTTP2_FRAME_SIZE`.
    pub http2: Http2Config,
    /// `ENABLE_RESPONSE_BAGGAGE`.
    pub response_baggage: bool,
    /// `LOCALHOST_APP_TUNNEL`.
    pub localhost_app_tunnel: bool,
    /// `CONNECTION_TERMINATION_DEADLINE`, else from `TERMINATION_GRACE_PERIOD_SECONDS`, else 5 s.
    pub drain_deadline: Duration,
    /// `RUST_LOG`.
    pub log_filter: String,
    /// `LOG_FORMAT`: `json` or text.
    pub log_format: Format,
}

/// One of istiod's two services.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    pub address: String,
    pub roots: RootSource,
    pub alt_name: Option<String>,
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub struct DnsConfig {
    pub port: u16,
    pub preferred_namespace: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub struct Http2Config {
    pub stream_window: u32,
    pub connection_window: u32,
    pub max_frame: u32,
}

/// Where the process itself listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports;

impl Ports {
    pub const ADMIN: u16 = 15000;
    pub const STATS: u16 = 15020;
    pub const READINESS: u16 = 15021;
    pub const DNS: u16 = 15053;
}

impl Config {
    /// # Errors
    /// When a value cannot be read, or asks for what we do not do.
    pub fn from_env(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let env = Environment::new(vars);
        env.refuse_unsupported()?;
        let in_cluster = env.text("KUBERNETES_SERVICE_HOST").is_some();
        let ipv6 = env.flag("IPV6_ENABLED", true)?;
        Ok(Self {
            xds: control_plane(&env, "XDS", in_cluster),
            ca: control_plane(&env, "CA", in_cluster),
            token: token(&env),
            secret_ttl: env.duration("SECRET_TTL")?.unwrap_or(mesh::limits::CERTIFICATE_TTL),
            cluster_id: env
                .first(&["CLUSTER_ID", "ISTIO_META_CLUSTER_ID"])
                .unwrap_or("Kubernetes")
                .to_owned(),
            network: env.text("NETWORK").unwrap_or_default().to_owned(),
            cluster_domain: env.text("CLUSTER_DOMAIN").unwrap_or("cluster.local").to_owned(),
            pod_name: env.text("POD_NAME").unwrap_or_default().to_owned(),
            pod_namespace: env.text("POD_NAMESPACE").unwrap_or_default().to_owned(),
            node_name: env.text("NODE_NAME").unwrap_or_default().to_owned(),
            // Istio's placeholder for an address nobody told us.
            instance_ip: env.text("INSTANCE_IP").unwrap_or("1.1.1.1").to_owned(),
            metadata: env.metadata()?,
            inpod_uds: env.text("INPOD_UDS").unwrap_or("/var/run/ztunnel/ztunnel.sock").into(),
            mark: env.number("PACKET_MARK")?.unwrap_or(1337),
            preserve_source: env.flag("ENABLE_ORIG_SRC", true)?,
            ipv6,
            dns: dns(&env)?,
            workers: workers(&env)?,
            pool_streams: env
                .number("POOL_MAX_STREAMS_PER_CONNECTION")?
                .unwrap_or(mesh::limits::HBONE_CLIENT_STREAMS),
            pool_idle: env.duration("POOL_UNUSED_RELEASE_TIMEOUT")?.unwrap_or(mesh::limits::HBONE_IDLE),
            http2: Http2Config {
                stream_window: env
                    .number("HTTP2_STREAM_WINDOW_SIZE")?
                    .unwrap_or(mesh::limits::HBONE_STREAM_WINDOW),
                connection_window: env
                    .number("HTTP2_CONNECTION_WINDOW_SIZE")?
                    .unwrap_or(mesh::limits::HBONE_CONNECTION_WINDOW),
                max_frame: env.number("HTTP2_FRAME_SIZE")?.unwrap_or(mesh::limits::HBONE_MAX_FRAME),
            },
            response_baggage: env.flag("ENABLE_RESPONSE_BAGGAGE", true)?,
            localhost_app_tunnel: env.flag("LOCALHOST_APP_TUNNEL", true)?,
            drain_deadline: drain_deadline(&env)?,
            log_filter: env.text("RUST_LOG").unwrap_or("info").to_owned(),
            log_format: if env.text("LOG_FORMAT") == Some("json") { Format::Json } else { Format::Plain },
        })
    }

    /// Addresses of the process's own servers.
    #[must_use]
    pub fn everywhere(&self, port: u16) -> SocketAddr {
        let any: IpAddr = if self.ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        SocketAddr::new(any, port)
    }

    /// `ztunnel~ip~pod.namespace~namespace.svc.domain`.
    #[must_use]
    pub fn node_id(&self) -> String {
        let Self { instance_ip, pod_name, pod_namespace, cluster_domain, .. } = self;
        format!("ztunnel~{instance_ip}~{pod_name}.{pod_namespace}~{pod_namespace}.svc.{cluster_domain}")
    }
}

fn control_plane(env: &Environment, name: &str, in_cluster: bool) -> ControlPlane {
    let default = if in_cluster { ISTIOD } else { "https://localhost:15012" };
    let roots = match env.text(&format!("{name}_ROOT_CA")) {
        Some(pem) if pem.contains("-----BEGIN") => RootSource::Pem(pem.into()),
        path => RootSource::File(path.unwrap_or(ROOTS).into()),
    };
    ControlPlane {
        address: env.text(&format!("{name}_ADDRESS")).unwrap_or(default).to_owned(),
        roots,
        alt_name: env.text(&format!("ALT_{name}_HOSTNAME")).map(str::to_owned),
        headers: env.with_prefix(&format!("{name}_HEADER_")),
    }
}

fn token(env: &Environment) -> TokenSource {
    match env.text("AUTH_TOKEN") {
        Some(text) if Path::new(text).exists() => TokenSource::File(text.into()),
        Some(text) => TokenSource::Literal(text.to_owned()),
        None if Path::new(TOKEN).exists() => TokenSource::File(TOKEN.into()),
        None => TokenSource::None,
    }
}

fn dns(env: &Environment) -> Result<Option<DnsConfig>, ConfigError> {
    if !env.flag("ISTIO_META_DNS_CAPTURE", true)? {
        return Ok(None);
    }
    let port = match env.text("ISTIO_META_DNS_PROXY_ADDR") {
        None => Ports::DNS,
        Some(address) => {
            let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
            let port = port.parse().ok().filter(|_| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
            port.ok_or_else(|| env.invalid("ISTIO_META_DNS_PROXY_ADDR", "localhost:PORT"))?
        }
    };
    let preferred = env.text("PREFERED_SERVICE_NAMESPACE").map(str::to_owned);
    Ok(Some(DnsConfig { port, preferred_namespace: preferred }))
}

fn workers(env: &Environment) -> Result<usize, ConfigError> {
    const NAME: &str = "ZTUNNEL_WORKER_THREADS";
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = match env.text(NAME) {
        Some("0") => cores,
        Some(text) => match text.strip_suffix('%') {
            Some(percent) => {
                let percent: usize = percent.parse().map_err(|_| env.invalid(NAME, "a number or N%"))?;
                (cores * percent).div_ceil(100)
            }
            None => text.parse().map_err(|_| env.invalid(NAME, "a number or N%"))?,
        },
        None => match env.cpus("ZTUNNEL_RESOURCE_CPU_LIMIT")? {
            Some(limit) if limit < cores => limit,
            _ => env.cpus("ZTUNNEL_RESOURCE_CPU_REQUEST")?.unwrap_or(0).max(cores.div_ceil(4)).max(2),
        },
    };
    Ok(count.clamp(1, limits::WORKERS_MAX))
}

/// The kubelet kills us at the end of the grace period; the connections have to be closed before.
fn drain_deadline(env: &Environment) -> Result<Duration, ConfigError> {
    if let Some(deadline) = env.duration("CONNECTION_TERMINATION_DEADLINE")? {
        return Ok(deadline);
    }
    let Some(grace) = env.number::<u64>("TERMINATION_GRACE_PERIOD_SECONDS")? else {
        return Ok(limits::DRAIN_DEADLINE);
    };
    Ok(Duration::from_secs(if grace > 10 { grace - 5 } else { grace.saturating_sub(1) }))
}

#[cfg(test)]
mod tests;
