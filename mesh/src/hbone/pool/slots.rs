//! The pool's book-keeping: which connections and which dials there are for a key. No IO and no waiting.
//!
//! Invariant: a slot without connections and without a dial is not kept, so the map is as large as what is alive.

use crate::hbone::client::Connection;
use crate::hbone::lease::{Lease, Streams};
use crate::hbone::pool::{Dialled, PoolKey};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A connection as the pool knows it.
#[derive(Debug)]
pub(super) struct Pooled {
    pub(super) connection: Connection,
    pub(super) local_addr: SocketAddr,
    pub(super) streams: Arc<Streams>,
    serial: u64,
}

/// A stream's place on a connection.
pub(super) struct Checkout {
    pub(super) pooled: Arc<Pooled>,
    pub(super) lease: Lease,
    pub(super) reused: bool,
}

#[derive(Default)]
struct Slot {
    connections: Vec<Arc<Pooled>>,
    /// The dial's serial, and where its outcome will be.
    dialling: Option<(u64, watch::Receiver<Dialled>)>,
}

/// All slots, by workload first, so that evicting one touches only its own.
#[derive(Default)]
pub(super) struct Slots {
    workloads: HashMap<Arc<str>, HashMap<PoolKey, Slot>>,
    serial: u64,
    draining: bool,
}

impl Pooled {
    pub(super) fn new(connection: Connection, local_addr: SocketAddr, serial: u64) -> Arc<Self> {
        Arc::new(Self { connection, local_addr, streams: Streams::new(), serial })
    }
}

impl Slots {
    /// A place on the first connection newer than `newer_than` that has one. First, not least loaded: the others may idle out.
    pub(super) fn checkout(&mut self, key: &PoolKey, newer_than: u64, limit: usize) -> Option<Checkout> {
        let slot = self.slot(key)?;
        slot.connections.retain(|pooled| pooled.connection.is_open());
        slot.connections.iter().filter(|pooled| pooled.serial > newer_than).find_map(|pooled| {
            let lease = pooled.streams.lease(limit)?;
            Some(Checkout { pooled: Arc::clone(pooled), lease, reused: true })
        })
    }

    /// The outcome to come of a dial under way.
    pub(super) fn dialling(&mut self, key: &PoolKey) -> Option<watch::Receiver<Dialled>> {
        self.slot(key)?.dialling.as_ref().map(|(_, dialled)| dialled.clone())
    }

    /// Notes a dial; its serial is also its connection's.
    pub(super) fn start_dial(&mut self, key: &PoolKey, dialled: watch::Receiver<Dialled>) -> u64 {
        self.serial += 1;
        let workload = self.workloads.entry(Arc::clone(&key.workload_uid)).or_default();
        workload.entry(key.clone()).or_default().dialling = Some((self.serial, dialled));
        self.serial
    }

    /// Keeps a dial's connection, unless its workload was evicted meanwhile or the pool drains. True if it was kept.
    pub(super) fn finish_dial(&mut self, key: &PoolKey, pooled: &Arc<Pooled>) -> bool {
        let current = self.end_dial(key, pooled.serial);
        let keep = current && !self.draining;
        if keep && let Some(slot) = self.slot(key) {
            slot.connections.push(Arc::clone(pooled));
        } else {
            self.tidy(key);
        }
        keep
    }

    /// Forgets a dial that came to nothing.
    pub(super) fn fail_dial(&mut self, key: &PoolKey, serial: u64) {
        self.end_dial(key, serial);
        self.tidy(key);
    }

    /// True if the dial was still the slot's.
    fn end_dial(&mut self, key: &PoolKey, serial: u64) -> bool {
        let Some(slot) = self.slot(key) else { return false };
        slot.dialling.take_if(|(current, _)| *current == serial).is_some()
    }

    pub(super) fn remove(&mut self, key: &PoolKey, pooled: &Arc<Pooled>) {
        if let Some(slot) = self.slot(key) {
            slot.connections.retain(|kept| !Arc::ptr_eq(kept, pooled));
        }
        self.tidy(key);
    }

    /// Removes a connection that carried no stream for `idle`; else tells when to look again.
    pub(super) fn remove_if_idle(
        &mut self,
        key: &PoolKey,
        pooled: &Arc<Pooled>,
        idle: Duration,
    ) -> Option<Duration> {
        match pooled.streams.idle() {
            None => Some(idle),
            Some(so_far) if so_far < idle => Some(idle - so_far),
            Some(_) => {
                self.remove(key, pooled);
                None
            }
        }
    }

    pub(super) fn evict(&mut self, workload_uid: &str) {
        self.workloads.remove(workload_uid);
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
        self.workloads.clear();
    }

    /// The latest dial's serial.
    pub(super) fn last_serial(&self) -> u64 {
        self.serial
    }

    pub(super) fn connections(&self) -> usize {
        self.workloads.values().flat_map(HashMap::values).map(|slot| slot.connections.len()).sum()
    }

    fn slot(&mut self, key: &PoolKey) -> Option<&mut Slot> {
        self.workloads.get_mut(&key.workload_uid)?.get_mut(key)
    }

    fn tidy(&mut self, key: &PoolKey) {
        let Some(workload) = self.workloads.get_mut(&key.workload_uid) else { return };
        if workload.get(key).is_some_and(|slot| slot.connections.is_empty() && slot.dialling.is_none()) {
            workload.remove(key);
        }
        if workload.is_empty() {
            self.workloads.remove(&key.workload_uid);
        }
    }
}
