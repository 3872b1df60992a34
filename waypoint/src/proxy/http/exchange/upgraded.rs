//! An answered upgrade, on its way to the owner of the session: what it takes to join the connections and to tell of them.

use super::forward::Chosen;
use super::operation::Operation;
use super::record::{Context, Record};
use crate::proxy::connection::Connection;
use crate::proxy::tcp::copy::{self, Counters};
use crate::proxy::upstream::pool::Lease;
use hyper::upgrade::{OnUpgrade, Upgraded};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use waypoint_core::failure::ResponseFlag;
use waypoint_core::model::http_chain::HttpChain;
use waypoint_core::store::Snapshot;

pub struct Upgrade {
    pub(super) upstream: OnUpgrade,
    pub(super) record: Record,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) chain: Arc<HttpChain>,
    pub(super) operation: Operation,
    /// Keeps the connection's and the endpoint's counts.
    pub(super) _held: (Lease, Chosen),
}

impl Upgrade {
    /// # Errors
    /// When the endpoint's connection broke.
    pub async fn upstream(&mut self) -> hyper::Result<Upgraded> {
        (&mut self.upstream).await
    }

    /// The end of the upgraded connection; `None`: it never was one.
    pub fn finish(mut self, connection: &Connection, counters: &Counters, ended: Option<&copy::Ended>) {
        self.record.bytes_received = counters.received.load(Ordering::Relaxed);
        self.record.bytes_sent = counters.sent.load(Ordering::Relaxed);
        match ended {
            None | Some(copy::Ended::Upstream(_)) => self.record.flag(ResponseFlag::UC),
            Some(copy::Ended::Downstream(_)) => self.record.flag(ResponseFlag::DC),
            Some(copy::Ended::Idle) => self.record.flag(ResponseFlag::SI),
            Some(copy::Ended::Clean | copy::Ended::TooLong) => {}
        }
        let context = Context { snapshot: &self.snapshot, connection };
        self.record.write(&context, &self.chain, self.operation.text());
    }
}
