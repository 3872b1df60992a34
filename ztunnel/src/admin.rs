//! What the process tells operators: config dump and log levels on 15000 (loopback), metrics on 15020, readiness on 15021.

mod dump;
mod process;

pub use dump::{Sources, dump};
pub use process::raise_descriptor_limit;

use crate::config::Config;
use crate::telemetry::{Metrics, Termination};
use http::StatusCode;
use mesh::admin::{Admin, json};
use mesh::lifecycle::Readiness;
use mesh::log::LogHandle;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use xds_client::client::Stats;

/// Loopback only.
#[must_use]
pub fn operator(
    sources: Arc<Sources>,
    config: &Config,
    log: LogHandle,
    quit: impl Fn() + Send + Sync + 'static,
) -> Admin {
    let config = config.clone();
    Admin::new().get("/config_dump", move |_| ready(json(&dump(&sources, &config)))).logging(log).quit(quit)
}

#[must_use]
pub fn stats(metrics: Arc<Metrics>, xds: Arc<Stats>) -> Admin {
    Admin::new().metrics(move |request| {
        let ended = [
            (Termination::ConnectionError, &xds.connection_errors),
            (Termination::Error, &xds.stream_errors),
            (Termination::Reconnect, &xds.stream_reconnects),
            (Termination::Complete, &xds.stream_completes),
        ];
        for (reason, count) in ended {
            metrics.xds_terminated(reason, count.load(Ordering::Relaxed));
        }
        let (open, max) = process::descriptors();
        metrics.descriptors(open, max);
        let accept =
            request.headers.get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let content_type = if accept.contains("application/openmetrics-text") {
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        } else {
            "text/plain; version=0.0.4; charset=utf-8"
        };
        (content_type.to_owned(), metrics.render())
    })
}

#[must_use]
pub fn readiness(readiness: Readiness) -> Admin {
    Admin::new().ready("/healthz/ready", readiness, StatusCode::INTERNAL_SERVER_ERROR)
}
