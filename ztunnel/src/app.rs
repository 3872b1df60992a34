//! The wiring: makes every part, joins them, and takes them down in order.

mod start;

use crate::admin::{self, Sources};
use crate::config::{Config, ControlPlane, Ports};
use crate::dns::{Upstreams, Zone};
use crate::inpod::{self, Pods};
use crate::proxy::{Mesh, Resolver, Settings, Workers};
use crate::sockets::{NamespaceThread, SocketOptions};
use crate::state::{Snapshot, Store};
use crate::telemetry::Metrics;
use crate::xds::Updates;
use anyhow::Context;
use mesh::channel::{Auth, ChannelOptions};
use mesh::hbone::{ClientOptions, PoolOptions, ServerOptions};
use mesh::lifecycle::{DrainTrigger, DrainWatch, Readiness, drain, shutdown_signal};
use mesh::log::LogHandle;
use mesh::secrets::{CaClient, CaOptions, SecretStore, StoreOptions};
use start::{PodStarter, istiod_node};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use xds_client::cache::RawCache;
use xds_client::client::{self, Stats};
use xds_client::type_url::{ADDRESS, AUTHORIZATION};

/// Runs the proxy until it is told to stop.
///
/// # Errors
/// When it cannot start.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let log = mesh::log::init(config.log_format, &config.log_filter).context("log")?;
    if let Err(error) = admin::raise_descriptor_limit() {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    // istiod, the CA and operators share this thread; connections of pods have the workers'.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let result = runtime.block_on(serve(config, &log));
    log.flush();
    result
}

async fn serve(config: &Config, log: &LogHandle) -> anyhow::Result<()> {
    let stopped = shutdown_signal().context("signals")?;
    let readiness = Readiness::new();
    let (trigger, watch) = drain();
    let app = App::assemble(config, &readiness, watch.clone())?;
    let quit = Arc::new(Notify::new());
    // Admin and metrics answer until the very end, so that a drain can be watched.
    let (ended, servers) = drain();
    app.serve_operators(config, (log, &readiness), quit.clone(), servers).await?;
    app.follow_istiod(config, &readiness)?;
    app.follow_pods(config, &readiness, watch);
    let reason = tokio::select! {
        signal = stopped => signal,
        () = quit.notified() => "quitquitquit",
    };
    tracing::info!(reason, deadline = ?config.drain_deadline, "shutting down");
    shut_down(&readiness, &trigger, config.drain_deadline).await;
    ended.start();
    Ok(())
}

/// Unready, no new connections, GOAWAY; then the rest has until the deadline.
async fn shut_down(readiness: &Readiness, trigger: &DrainTrigger, deadline: Duration) {
    readiness.shut_down();
    trigger.start();
    if !trigger.finished(deadline).await {
        tracing::warn!(connections = trigger.in_flight(), "drain deadline reached, closing what is left");
    }
}

struct App {
    mesh: Arc<Mesh>,
    pods: Arc<Pods<PodStarter>>,
    stats: Arc<Stats>,
}

impl App {
    fn assemble(config: &Config, readiness: &Readiness, watch: DrainWatch) -> anyhow::Result<Self> {
        let _assembling = readiness.register("startup");
        let metrics = Metrics::new(mesh::version::ISTIO);
        let http2 = config.http2;
        let pool = PoolOptions {
            max_streams: config.pool_streams,
            idle_timeout: config.pool_idle,
            http2: ClientOptions {
                stream_window: http2.stream_window,
                connection_window: http2.connection_window,
                max_frame: http2.max_frame,
                ..ClientOptions::default()
            },
            ..PoolOptions::default()
        };
        let server = ServerOptions {
            stream_window: http2.stream_window,
            connection_window: http2.connection_window,
            max_frame: http2.max_frame,
            ..ServerOptions::default()
        };
        let mesh = Arc::new(Mesh {
            store: Arc::new(Store::new(Snapshot::new(&config.node_name))),
            secrets: secrets(config)?,
            metrics: metrics.clone(),
            workers: Arc::new(Workers::start(config.workers).context("worker threads")?),
            drain: watch,
            resolver: Resolver::system(),
            settings: Settings {
                response_baggage: config.response_baggage,
                localhost_app_tunnel: config.localhost_app_tunnel,
                pool,
                server,
            },
        });
        let sockets = SocketOptions {
            mark: Some(config.mark),
            preserve_source: config.preserve_source,
            ipv6: config.ipv6,
        };
        let zone = |preferred: &Option<String>| Zone::new(&config.cluster_domain, preferred.as_deref());
        let dns =
            config.dns.as_ref().map(|dns| (dns.port, zone(&dns.preferred_namespace), Upstreams::system()));
        let thread = NamespaceThread::start().context("network namespaces")?;
        let starter = PodStarter { mesh: mesh.clone(), thread, sockets, dns };
        Ok(Self { mesh, pods: Arc::new(Pods::new(starter, metrics)), stats: Arc::new(Stats::default()) })
    }

    async fn serve_operators(
        &self,
        config: &Config,
        (log, readiness): (&LogHandle, &Readiness),
        quit: Arc<Notify>,
        servers: DrainWatch,
    ) -> anyhow::Result<()> {
        let sources = Sources::new(self.mesh.store.clone(), self.mesh.secrets.clone(), self.pods.clone());
        let operator = admin::operator(Arc::new(sources), config, log.clone(), move || quit.notify_one());
        let operator =
            operator.bind((Ipv4Addr::LOCALHOST, Ports::ADMIN).into()).await.context("admin port")?;
        tokio::spawn(operator.serve(servers.clone()));
        let stats = admin::stats(self.mesh.metrics.clone(), self.stats.clone());
        let stats = stats.bind(config.everywhere(Ports::STATS)).await.context("metrics port")?;
        tokio::spawn(stats.serve(servers.clone()));
        // On a worker on purpose: a data plane that is stuck must not look ready.
        let ready = admin::readiness(readiness.clone());
        let address: SocketAddr = config.everywhere(Ports::READINESS);
        let (bound, binding) = tokio::sync::oneshot::channel();
        self.mesh.workers.for_service(0).spawn_service(async move {
            match ready.bind(address).await {
                Ok(server) => {
                    // The receiver waits right below.
                    let _ = bound.send(Ok(()));
                    server.serve(servers).await;
                }
                Err(error) => drop(bound.send(Err(error))),
            }
        });
        binding.await.context("readiness port")?.context("readiness port")
    }

    /// Configuration, and what follows from a workload's end.
    fn follow_istiod(&self, config: &Config, readiness: &Readiness) -> anyhow::Result<()> {
        let (removed, mut uids) = mpsc::unbounded_channel::<Arc<str>>();
        let pending = vec![
            (ADDRESS, readiness.register("xds address")),
            (AUTHORIZATION, readiness.register("xds authorization")),
        ];
        let shared = (self.mesh.store.clone(), self.mesh.metrics.clone());
        let updates =
            Updates::new(&config.node_name, shared, Some(self.mesh.secrets.clone()), removed, pending);
        let pods = self.pods.clone();
        tokio::spawn(async move {
            while let Some(uid) = uids.recv().await {
                pods.proxies().iter().for_each(|pod| pod.evict(&uid));
            }
        });
        let connect = start::Istiod { channel: channel(&config.xds), auth: auth(config, &config.xds) };
        let options = client::Options {
            node: istiod_node(config),
            raw: RawCache::default(),
            stats: self.stats.clone(),
        };
        tokio::spawn(client::run(connect, updates, options));
        Ok(())
    }

    /// Pods, once there is configuration to serve them by.
    fn follow_pods(&self, config: &Config, readiness: &Readiness, watch: DrainWatch) {
        let (path, pods, readiness) = (config.inpod_uds.clone(), self.pods.clone(), readiness.clone());
        let configured = readiness.register("workload proxy manager");
        self.mesh.workers.for_service(0).spawn_service(async move {
            // Not by the store's changes: a promise is kept after the last of them is published, so a look at that
            // one can come too early, and no other follows.
            tokio::select! {
                () = watch.started() => return,
                () = readiness.kept(|task| task.starts_with("xds ")) => {}
            }
            let run = inpod::run(&path, &pods, &readiness, watch);
            // From here on the loop has a token of its own.
            drop(configured);
            run.await;
        });
    }
}

fn secrets(config: &Config) -> anyhow::Result<SecretStore> {
    let options = CaOptions {
        ttl: config.secret_ttl,
        impersonate: true,
        ..CaOptions::new(channel(&config.ca), auth(config, &config.ca))
    };
    let ca = CaClient::new(options).context("CA")?;
    Ok(SecretStore::new(ca, StoreOptions::default()))
}

fn channel(plane: &ControlPlane) -> ChannelOptions {
    ChannelOptions {
        address: plane.address.clone(),
        roots: plane.roots.clone(),
        alt_name: plane.alt_name.clone(),
    }
}

fn auth(config: &Config, plane: &ControlPlane) -> Auth {
    Auth {
        token: config.token.clone(),
        cluster_id: config.cluster_id.clone(),
        headers: plane.headers.clone(),
    }
}
