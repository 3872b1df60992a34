//! Circuit breakers: how much a cluster may be asked at once. Envoy: `ResourceManagerImpl`.
//!
//! Invariant: a permit is counted from the moment it is given until it is dropped, whatever happens in between.
//! Process-wide: all workers and all versions of a cluster share one set of counters.

use crate::model::cluster::CircuitBreakers;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Clone, Debug)]
pub struct Breakers {
    limits: CircuitBreakers,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters([AtomicU32; 4]);

#[derive(Clone, Copy, Debug)]
enum Resource {
    Connection,
    Pending,
    Request,
    Retry,
}

/// One unit of a resource, given back on drop.
#[derive(Debug)]
pub struct Permit {
    counters: Arc<Counters>,
    resource: Resource,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counters.of(self.resource).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counters {
    const fn of(&self, resource: Resource) -> &AtomicU32 {
        &self.0[resource as usize]
    }
}

impl Breakers {
    #[must_use]
    pub fn new(limits: CircuitBreakers) -> Self {
        Self { limits, counters: Arc::default() }
    }

    /// The next version of the cluster: new limits, same counters.
    #[must_use]
    pub fn with_limits(&self, limits: CircuitBreakers) -> Self {
        Self { limits, counters: self.counters.clone() }
    }

    /// `None`: no more connections; the caller waits for one of those there are.
    #[must_use]
    pub fn connection(&self) -> Option<Permit> {
        self.take(Resource::Connection, self.limits.max_connections)
    }

    /// `None`: too many requests wait for a connection already; overflow.
    #[must_use]
    pub fn pending(&self) -> Option<Permit> {
        self.take(Resource::Pending, self.limits.max_pending_requests)
    }

    /// `None`: too many requests in flight; overflow.
    #[must_use]
    pub fn request(&self) -> Option<Permit> {
        self.take(Resource::Request, self.limits.max_requests)
    }

    /// `None`: too many retries in flight; the failure at hand is the answer, with flag UO.
    #[must_use]
    pub fn retry(&self) -> Option<Permit> {
        let limit = match self.limits.retry_budget {
            None => self.limits.max_retries,
            // Envoy: a budget replaces the fixed number.
            Some(budget) => {
                let active =
                    u64::from(self.count(Resource::Request)) + u64::from(self.count(Resource::Pending));
                let share = active * u64::from(budget.percent) / 100;
                u32::try_from(share).unwrap_or(u32::MAX).max(budget.min_concurrency)
            }
        };
        self.take(Resource::Retry, limit)
    }

    fn count(&self, resource: Resource) -> u32 {
        self.counters.of(resource).load(Ordering::Relaxed)
    }

    fn take(&self, resource: Resource, limit: u32) -> Option<Permit> {
        let grow = |count| (count < limit).then_some(count + 1);
        self.counters.of(resource).fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).ok()?;
        Some(Permit { counters: self.counters.clone(), resource })
    }
}

#[cfg(test)]
mod tests;
