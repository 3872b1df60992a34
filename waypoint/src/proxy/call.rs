//! A request of our own to a cluster, e.g. to an authorization service: known whole before it is sent, its answer taken
//! whole and bounded, one deadline for all of it.
//!
//! It uses the worker's pools, breakers and balancer as any request does, so it shares connections with them and waits
//! for none of them. What no endpoint has seen goes to another one; anything else is the caller's to repeat.

pub mod grpc;

use super::http::body::{Slot, UpstreamBody};
use super::http::exchange::attempt::connect;
use super::http::exchange::forward::Prepared;
use super::upstream::cluster::{self, Aim, Choice};
use super::upstream::error::UpstreamError;
use super::worker::Worker;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use waypoint_core::balance::{Avoid, Observed};
use waypoint_core::failure::Failure;
use waypoint_core::limits::UNREACHED_RETRIES_MAX;
use waypoint_core::model::cluster::UpstreamProtocol;
use waypoint_core::model::route::ClusterName;
use waypoint_core::store::{ClusterEntry, Snapshot};

pub use waypoint_core::routing::headers::Render;

pub struct Call {
    pub cluster: ClusterName,
    pub prepared: Prepared,
    pub body: Bytes,
    /// Whatever the cluster speaks otherwise.
    pub always_http2: bool,
    pub timeout: Option<Duration>,
    /// Bytes of a longer answer are an error.
    pub max_answer: usize,
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

/// Why there is no answer; for logs, since what it means is the caller's to say.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no such cluster")]
    NoCluster,
    #[error("{0}")]
    Refused(String),
    #[error("{0:?}")]
    Upstream(UpstreamError),
    #[error("answer broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("answer longer than {0} bytes")]
    TooLong(usize),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Refused(failure.details.into_owned())
    }
}

/// # Errors
/// When there is no complete answer in time.
pub async fn call(worker: &Arc<Worker>, snapshot: &Arc<Snapshot>, call: Call) -> Result<Reply, CallError> {
    match call.timeout {
        None => attempts(worker, snapshot, &call).await,
        Some(limit) => {
            let answered = tokio::time::timeout(limit, attempts(worker, snapshot, &call)).await;
            answered.unwrap_or(Err(CallError::Timeout(limit)))
        }
    }
}

async fn attempts(worker: &Arc<Worker>, snapshot: &Arc<Snapshot>, call: &Call) -> Result<Reply, CallError> {
    let (snapshot, entry) =
        cluster::ready(worker, snapshot, &call.cluster).await.ok_or(CallError::NoCluster)?;
    let _permit = entry.breakers.request().ok_or_else(|| CallError::Upstream(UpstreamError::overflow()))?;
    let mut dice = worker.dice();
    let aim = Aim::own(call.prepared.host()).resolve(worker, &entry, None).await?;
    let mut tried = Vec::new();
    loop {
        let avoid = Avoid { tried: &tried, hosts: true, priorities_every: None };
        let choice = cluster::choose((&entry, &snapshot), &aim, None, avoid, &mut dice)?;
        let _active = choice.host.as_ref().map(|host| host.begin());
        match attempt(worker, &entry, &choice, call).await {
            Err(CallError::Upstream(error))
                if error.unsent && tried.len() < UNREACHED_RETRIES_MAX as usize =>
            {
                let Some(host) = &choice.host else { return Err(CallError::Upstream(error)) };
                tried.push(host.id);
            }
            result => return result,
        }
    }
}

async fn attempt(
    worker: &Arc<Worker>,
    entry: &Arc<ClusterEntry>,
    choice: &Choice,
    call: &Call,
) -> Result<Reply, CallError> {
    let http2 = call.always_http2 || entry.cluster.protocol == UpstreamProtocol::Http2;
    let result = send(worker, entry, (choice, http2), call).await;
    let observed = match &result {
        Ok(reply) => Observed::Status(reply.status.as_u16()),
        Err(CallError::Upstream(error)) if error.reason.is_connect_failure() => Observed::ConnectFailure,
        Err(_) => Observed::Reset,
    };
    if let (Some(hosts), Some(host)) = (&entry.hosts, &choice.host) {
        hosts.report(host, observed, worker.process.started.elapsed());
    }
    result
}

async fn send(
    worker: &Arc<Worker>,
    entry: &Arc<ClusterEntry>,
    (choice, http2): (&Choice, bool),
    call: &Call,
) -> Result<Reply, CallError> {
    let mut request = call.prepared.clone().into_request(http2, whole(&call.body));
    let (mut lease, response) = loop {
        let mut lease = connect(worker, entry, choice, http2).await.map_err(CallError::Upstream)?;
        match lease.sender.send(request).await {
            Ok(response) => break (lease, response),
            // Closed while idle: nothing was sent.
            Err(failure) => match failure.request {
                Some(unsent) if lease.reused => request = unsent,
                _ => return Err(CallError::Upstream(failure.error)),
            },
        }
    };
    let (parts, body) = response.into_parts();
    let (body, trailers) = read(body, call.max_answer).await?;
    if lease.sender.is_usable().await {
        lease.release();
    }
    Ok(Reply { status: parts.status, headers: parts.headers, body, trailers })
}

fn whole(body: &Bytes) -> UpstreamBody {
    if body.is_empty() {
        return UpstreamBody::Empty;
    }
    let slot = Slot::replaying([body.clone()]);
    slot.end(None);
    UpstreamBody::Slot { slot, length: Some(body.len() as u64) }
}

async fn read(mut body: Incoming, max: usize) -> Result<(Bytes, Option<HeaderMap>), CallError> {
    let mut read = BytesMut::new();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) if read.len() + data.len() > max => return Err(CallError::TooLong(max)),
            Ok(data) => read.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok().or(trailers),
        }
    }
    Ok((read.freeze(), trailers))
}
