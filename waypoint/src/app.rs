//! Wiring: the control plane's tasks, the workers, the surfaces, and the way out.

mod dns;
mod xds;

use self::xds::{Configuration, Configurator, Istiod};
use crate::admin::{self, Surfaces};
use crate::args::ProxyArgs;
use crate::config::{Config, DrainConfig};
use crate::env::Env;
use crate::limits;
use crate::node;
use crate::proxy::accept;
use crate::proxy::collector::Exports;
use crate::proxy::jwks::{self, JwksCache};
use crate::proxy::resolver::Resolver;
use crate::proxy::upstream::dynamic::DynamicNames;
use crate::proxy::worker::{Process, Worker, WorkerHandle};
use anyhow::Context as _;
use mesh::identity::SpiffeId;
use mesh::lifecycle::{DrainTrigger, Readiness, drain, shutdown_signal};
use mesh::log::{Format, LogHandle};
use mesh::net::{ListenOptions, bind_listener};
use mesh::secrets::{CaClient, CaOptions, SecretStore, StoreOptions};
use mesh::tls::ExpectedPeer;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use waypoint_core::telemetry::metrics::Metrics;
use xds_client::cache::RawCache;
use xds_client::client::{Options, Stats};
use xds_client::proto::envoy::envoy::config::core::v3::Node;
use xds_client::type_url;

/// Runs the proxy until it is told to leave.
///
/// # Errors
/// When the configuration is unusable, a port is taken or a thread cannot be had. Never because istiod is away.
pub fn run(args: &ProxyArgs) -> anyhow::Result<()> {
    let lookup = |name: &str| std::env::var(name).ok();
    let env = Env { lookup: &lookup, all: std::env::vars().collect(), root: PathBuf::from("/") };
    let config = Config::read(args, &env)?;
    let format = if config.log.json { Format::Json } else { Format::Plain };
    let log = mesh::log::init(format, &config.log.filter)?;
    let node = node::node(&config, &env);
    let network = env.text("ISTIO_META_NETWORK").unwrap_or_default();
    // Two threads for everything that is not traffic; workers have runtimes of their own.
    let control = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    control.block_on(serve(config, node, &network, log.clone()))?;
    log.flush();
    Ok(())
}

async fn serve(config: Config, node: Node, network: &str, log: LogHandle) -> anyhow::Result<()> {
    let signal = shutdown_signal()?;
    let started = Instant::now();
    let readiness = Readiness::new();
    let (drain_trigger, drain_watch) = drain();
    let metrics = Metrics::new(mesh::version::ISTIO)?;
    let (configuration, published) = Configuration::new(network, metrics.clone(), started);
    let resolver = Resolver::system(tokio::runtime::Handle::current());
    let identity = SpiffeId::new(&config.trust_domain, &config.pod.namespace, &config.pod.service_account);
    let mut ca = CaOptions::new(config.ca_channel(), config.auth(&config.ca_headers));
    ca.ttl = config.certificate_ttl;
    let secrets = SecretStore::new(CaClient::new(ca)?, StoreOptions::default());
    let process = Arc::new(Process {
        snapshots: configuration.snapshots.clone(),
        published,
        secrets: secrets.clone(),
        local_principal: identity.as_str().into(),
        trust_domains: ExpectedPeer::trust_domains([identity.trust_domain()]),
        identity,
        metrics,
        logs: crate::proxy::log_sink::LogSinks::default(),
        exports: Exports::default(),
        tls: configuration.tls.clone(),
        names: DynamicNames::new(resolver.clone()),
        jwks: JwksCache::default(),
        network: network.into(),
        service_cluster: config.service_cluster.as_str().into(),
        node: waypoint_core::translate::node::info(&node),
        drain: drain_watch,
        tunnels: Arc::new(AtomicUsize::new(0)),
        hostname: config.pod.name.as_str().into(),
        address: config.pod.ips.first().copied(),
        started,
    });
    let raw = RawCache::keeping(&[
        type_url::CLUSTER,
        type_url::LISTENER,
        type_url::ENDPOINT,
        type_url::EXTENSION_CONFIG,
    ]);
    let stats = Arc::new(Stats::default());
    let quit = Arc::new(Notify::new());
    let surfaces = Arc::new(Surfaces {
        process: process.clone(),
        readiness: readiness.clone(),
        raw: raw.clone(),
        xds: stats.clone(),
        node: node.clone(),
        log,
        quit: quit.clone(),
        drain: drain_trigger,
    });
    // The surfaces outlive the drain: probes and scrapes go on until the end.
    let (end_of_surfaces, surfaces_watch) = drain();
    admin::serve(&surfaces, config.ports, &surfaces_watch).await?;
    let configurator = Configurator {
        configuration: configuration.clone(),
        unready: Some(readiness.register("configuration")),
    };
    let options = Options { node, raw, stats };
    tokio::spawn(xds_client::client::run(Istiod::new(&config), configurator, options));
    tokio::spawn(configuration.clone().tick());
    tokio::spawn(dns::resolve(configuration.clone(), resolver));
    tokio::spawn(configuration.watch_files());
    tokio::spawn(jwks::fetch(process.clone()));
    let traffic = tokio::spawn(start_traffic(process.clone(), config.clone(), readiness.clone()));
    tokio::select! {
        name = signal => tracing::info!(signal = name, "leaving"),
        () = quit.notified() => {
            tracing::info!("quitting at once, as asked");
            return Ok(());
        }
    }
    leave(&config.drain, &surfaces.drain, &readiness, &process, &quit).await;
    process.exports.flush().await;
    traffic.abort();
    process.logs.flush();
    end_of_surfaces.start();
    Ok(())
}

/// Waits for a certificate, then opens the port and starts the workers.
async fn start_traffic(process: Arc<Process>, config: Config, readiness: Readiness) -> anyhow::Result<()> {
    let certificate = readiness.register("certificate");
    let port = readiness.register("port");
    while let Err(error) = process.secrets.identity(&process.identity).await {
        tracing::warn!(%error, "no certificate yet");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    certificate.ready();
    let listener = listen(&config).inspect_err(|error| tracing::error!(%error, "port 15008"))?;
    let workers = (0..config.workers).map(|index| Worker::start(process.clone(), index));
    let workers: Arc<[WorkerHandle]> = workers.collect::<Result<Vec<_>, _>>()?.into();
    port.ready();
    tracing::info!(workers = workers.len(), "serving");
    accept::run(listener, workers).await;
    Ok(())
}

fn listen(config: &Config) -> anyhow::Result<tokio::net::TcpListener> {
    let options = ListenOptions::default();
    let port = config.ports.hbone;
    let any = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    let dual = bind_listener(any, ListenOptions { dual_stack: true, ..ListenOptions::default() });
    // A kernel without IPv6 still has pods.
    dual.or_else(|_| bind_listener(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port), options))
        .with_context(|| format!("listening on port {port}"))
}

/// The way out: unready first, then GOAWAY, then as long as the pod's settings allow.
async fn leave(
    settings: &DrainConfig,
    drain: &DrainTrigger,
    readiness: &Readiness,
    process: &Process,
    quit: &Notify,
) {
    readiness.shut_down();
    drain.start();
    let patience = async {
        if !settings.exit_on_zero {
            return tokio::time::sleep(settings.termination).await;
        }
        tokio::time::sleep(settings.minimum).await;
        let deadline = Instant::now() + limits::DRAIN_CEILING;
        while process.tunnels.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = patience => {}
        () = quit.notified() => {}
    }
    tracing::info!(tunnels = process.tunnels.load(Ordering::Relaxed), "drained");
}
