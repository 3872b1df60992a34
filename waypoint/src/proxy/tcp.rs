//! A TCP chain: network policy, a cluster, an endpoint, bytes both ways.
//!
//! Differs from Envoy: policy decides before the endpoint is dialled, so a server that speaks first cannot be heard by
//! a client it is denied to.

pub mod copy;
mod record;

use self::copy::{Bounds, Counters, Ended};
use self::record::TcpRecord;
use super::authz;
use super::connection::Connection;
use super::stream::{InnerStream, refuse};
use super::upstream::cluster::{self, Aim, Choice};
use super::upstream::error::UpstreamError;
use super::upstream::transport::Connected;
use crate::limits;
use http::StatusCode;
use std::sync::Arc;
use waypoint_core::balance::{Observed, Permit};
use waypoint_core::dice::Dice;
use waypoint_core::failure::{Failure, ResetContext, ResetReason};
use waypoint_core::model::ext_authz::ExtAuthz;
use waypoint_core::model::listener::{FilterChain, NetworkFilter, TcpChain, TcpClusters};
use waypoint_core::model::metadata::{DynamicMetadata, MetadataValue};
use waypoint_core::policy::ext_authz::{self, Enabled, Verdict};
use waypoint_core::policy::rbac;
use waypoint_core::routing::pick::weighted_index;
use waypoint_core::store::ClusterEntry;
use xxhash_rust::xxh64::xxh64;

/// Endpoints tried for one connection: none of them has seen a byte, so another may have it.
const CONNECT_ATTEMPTS: usize = 3;

/// Serves one connection until it ends.
pub async fn serve(stream: InnerStream, connection: &Connection, chain: &FilterChain, body: &Arc<TcpChain>) {
    let mut record = TcpRecord::new(connection, body.clone());
    // First, so that a refusal is logged and counted under it, too.
    let cluster = choose_cluster(&body.clusters, &mut connection.worker.dice());
    record.leads_to(cluster.as_ref());
    tracing::trace!(chain = &*chain.name, "tcp connection");
    if let Err(denied) = admit(body, connection).await {
        record.denied(&denied);
        return refuse(stream).await;
    }
    let opened = match open(connection, body, cluster, &mut record).await {
        Ok(opened) => opened,
        Err(failure) => {
            record.failed(&failure);
            return refuse(stream).await;
        }
    };
    relay(stream, opened, body, record).await;
}

/// The filters in order; the first that objects ends the connection.
async fn admit(chain: &TcpChain, connection: &Connection) -> Result<(), Failure> {
    let mut metadata = DynamicMetadata::default();
    for filter in &chain.filters {
        match filter {
            NetworkFilter::Rbac(policy) => {
                let decision = rbac::check_network(policy, &connection.tunnel.view(&metadata));
                if let Some(shadow) = &decision.shadow {
                    shadow.tell("envoy.filters.network.rbac", &policy.shadow_stat_prefix, &mut metadata);
                }
                if let Some(denial) = decision.denied {
                    return Err(denial.failure());
                }
            }
            NetworkFilter::ExtAuthz(config) => authorize(config, connection, &mut metadata).await?,
        }
    }
    Ok(())
}

/// Envoy: asks at the client's first bytes; here before them, so that a client that waits for the server is checked too.
async fn authorize(
    config: &ExtAuthz,
    connection: &Connection,
    metadata: &mut DynamicMetadata,
) -> Result<(), Failure> {
    if ext_authz::enabled(config, metadata, &mut connection.worker.dice()) != Enabled::Check {
        return Ok(());
    }
    let (snapshot, _) = connection.chain();
    // The values of a connection's check hold no formats: `translate` refuses them.
    let call = authz::prepare(config, &authz::describe(connection, metadata), &mut |_, _| None);
    match authz::ask(connection, &snapshot, config, call).await {
        Verdict::Allowed(allowed) => {
            if let Some(MetadataValue::Struct(fields)) = allowed.metadata {
                metadata.merge("envoy.filters.network.ext_authz", fields);
            }
            Ok(())
        }
        Verdict::Error(_) if config.failure_mode_allow => Ok(()),
        Verdict::Denied(_) => Err(Failure::authz_denied(StatusCode::FORBIDDEN)),
        Verdict::Error(_) => Err(Failure::authz_error(StatusCode::FORBIDDEN)),
        Verdict::Invalid => Err(Failure::authz_invalid()),
    }
}

/// A connection to an endpoint, and what is counted while it lives.
struct Opened {
    upstream: Connected,
    _held: (Permit, Option<waypoint_core::balance::ActiveRequest>),
}

async fn open(
    connection: &Connection,
    chain: &TcpChain,
    cluster: Option<Arc<str>>,
    record: &mut TcpRecord<'_>,
) -> Result<Opened, Failure> {
    let worker = &connection.worker;
    let mut dice = worker.dice();
    let name = cluster.ok_or_else(Failure::no_healthy_upstream)?;
    let (snapshot, _) = connection.chain();
    let found = cluster::ready(worker, &snapshot, &name).await;
    let (snapshot, entry) =
        found.ok_or_else(|| Failure::cluster_not_found(StatusCode::SERVICE_UNAVAILABLE))?;
    record.service = entry.cluster.service.clone();
    let permit = entry.breakers.connection();
    let permit = permit.ok_or_else(|| Failure::reset(ResetReason::Overflow, &ResetContext::default()))?;
    let hash = chain.hash_source_ip.then(|| xxh64(connection.tunnel.source.ip().to_string().as_bytes(), 0));
    let aim = Aim::new(&connection.tunnel, connection.tunnel.sni.as_deref());
    let aim = aim.resolve(worker, &entry, chain.sni_port).await?;
    let mut tried = Vec::new();
    loop {
        let choice = cluster::choose((&entry, &snapshot), &aim, hash, (&tried).into(), &mut dice)?;
        record.upstream = Some(choice.destination.clone());
        let active = choice.host.as_ref().map(|host| host.begin());
        match worker.transport.connect(&choice.destination, &entry.cluster).await {
            Ok(upstream) => {
                report(connection, &entry, &choice, Observed::Connected);
                record.opened(upstream.local);
                return Ok(Opened { upstream, _held: (permit, active) });
            }
            Err(error) => {
                report(connection, &entry, &choice, Observed::ConnectFailure);
                tried.extend(choice.host.as_ref().map(|host| host.id));
                if tried.len() >= CONNECT_ATTEMPTS || choice.host.is_none() {
                    return Err(refusal(error, record));
                }
            }
        }
    }
}

/// Envoy: behind a tunnel the endpoint counts as connected at once, so one that its ztunnel refuses is a reset connection.
fn refusal(error: UpstreamError, record: &mut TcpRecord<'_>) -> Failure {
    let reason = match error.reason {
        ResetReason::ConnectionTermination => ResetReason::RemoteReset,
        reason => reason,
    };
    let mut failure =
        Failure::reset(reason, &ResetContext { transport: error.detail(), ..ResetContext::default() });
    if reason.is_connect_failure() {
        failure.flags = failure.flags.attempts_exhausted();
    }
    record.transport_failure = error.transport;
    failure
}

fn choose_cluster(clusters: &TcpClusters, dice: &mut Dice) -> Option<Arc<str>> {
    match clusters {
        TcpClusters::Single(name) => Some(name.clone()),
        TcpClusters::Weighted { clusters, total } => {
            let point = dice.below((*total).into());
            let index = weighted_index(clusters.iter().map(|(_, weight)| *weight), point)?;
            Some(clusters[index].0.clone())
        }
    }
}

fn report(connection: &Connection, entry: &ClusterEntry, choice: &Choice, observed: Observed) {
    if let (Some(hosts), Some(host)) = (&entry.hosts, &choice.host) {
        hosts.report(host, observed, connection.worker.process.started.elapsed());
    }
}

async fn relay(mut stream: InnerStream, opened: Opened, chain: &TcpChain, mut record: TcpRecord<'_>) {
    let Opened { mut upstream, _held } = opened;
    let bounds = Bounds {
        idle: chain.idle_timeout.unwrap_or(limits::TCP_IDLE),
        duration: chain.max_connection_duration,
    };
    let counters = Arc::new(Counters::default());
    let interval = chain.stats.as_ref().and_then(|stats| stats.tcp_reporting_interval);
    let mut report = tokio::time::interval(interval.unwrap_or(limits::TCP_REPORT_INTERVAL));
    report.reset();
    let ended = {
        let copying = copy::copy(&mut stream, &mut upstream.stream, bounds, &counters);
        tokio::pin!(copying);
        loop {
            tokio::select! {
                ended = &mut copying => break ended,
                _ = report.tick() => record.progress(&counters),
            }
        }
    };
    if !matches!(ended, Ended::Clean) {
        tracing::debug!(?ended, "tcp connection");
        stream.get_mut().reset(h2::Reason::CONNECT_ERROR);
        upstream.stream.reset();
    }
    record.closed(&counters, &ended);
}
