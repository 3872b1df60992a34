//! One version of a cluster's hosts, ready to be picked from.
//!
//! Invariant: a pick never waits. What depends on health and age is a table that is replaced when either changes; host
//! state and the count of such changes are shared by all versions, so a version still in use sees them too.

use super::avoid::Avoid;
use super::health::{Class, Level, Share, shares};
use super::host::{Host, HostId, HostState, host_id};
use super::outlier::{self, Observed};
use super::pool::{LocalityHosts, Pool};
use super::slow_start;
use super::weights::Weights;
use crate::dice::Dice;
use crate::limits::HOST_SELECTION_ATTEMPTS;
use crate::model::cluster::{Balancing, OutlierDetection};
use crate::model::endpoint::{Assignment, LocalityGroup};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

/// What of a cluster's configuration shapes its picks.
#[derive(Clone, Debug)]
pub struct HostSettings {
    pub balancing: Balancing,
    pub outlier: Option<Arc<OutlierDetection>>,
}

#[derive(Debug)]
pub struct HostSet {
    settings: HostSettings,
    hosts: Vec<Arc<Host>>,
    groups: Vec<Group>,
    table: ArcSwap<Table>,
    /// Held by the one that builds a new table.
    building: Mutex<()>,
    shared: Arc<Shared>,
}

/// One locality within one priority.
#[derive(Debug)]
struct Group {
    priority: u32,
    weight: u32,
    hosts: Vec<Arc<Host>>,
}

/// What all versions of a cluster's hosts have in common.
#[derive(Debug, Default)]
struct Shared {
    /// Counts changes of availability; a table of an older count is out of date.
    changes: AtomicU64,
    /// Milliseconds of the latest `now` and of the latest sweep.
    clock: AtomicU64,
    swept: AtomicU64,
}

#[derive(Debug)]
struct Table {
    changes: u64,
    /// Percent and pool; percents sum to 100, or there is none.
    pools: Vec<(u32, Pool)>,
}

impl HostSet {
    /// `previous`: the version this one replaces; hosts of the same address keep what was learnt about them.
    #[must_use]
    pub fn new(
        settings: &HostSettings,
        assignment: &Assignment,
        previous: Option<&Self>,
        now: Duration,
    ) -> Self {
        let known: HashMap<HostId, &Arc<HostState>> =
            previous.iter().flat_map(|set| &set.hosts).map(|host| (host.id, &host.state)).collect();
        let groups: Vec<Group> =
            assignment.groups.iter().map(|group| Group::new(group, &known, now)).collect();
        let hosts: Vec<_> = groups.iter().flat_map(|group| &group.hosts).cloned().collect();
        if settings.outlier.is_none() {
            hosts.iter().for_each(|host| outlier::clear(host));
        }
        let shared = previous.map_or_else(Arc::default, |set| set.shared.clone());
        shared.clock.fetch_max(now.as_millis() as u64, Ordering::Relaxed);
        let empty = Table { changes: 0, pools: Vec::new() };
        let set = Self {
            settings: settings.clone(),
            hosts,
            groups,
            table: ArcSwap::from_pointee(empty),
            building: Mutex::default(),
            shared,
        };
        set.rebuild();
        set
    }

    #[must_use]
    pub fn hosts(&self) -> &[Arc<Host>] {
        &self.hosts
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The host for one attempt; what is to be avoided is taken only when there is nothing else.
    /// `None`: no host is available (503, `no_healthy_upstream`).
    #[must_use]
    pub fn pick<'a>(
        &self,
        hash: Option<u64>,
        avoid: impl Into<Avoid<'a>>,
        dice: &mut Dice,
    ) -> Option<Arc<Host>> {
        let avoid = avoid.into();
        self.refresh();
        if let Some(host) = self.pick_other_priority(&avoid, dice) {
            return Some(host);
        }
        let table = self.table.load();
        let mut picked = table.pick(hash, &avoid, dice)?;
        for _ in 0..HOST_SELECTION_ATTEMPTS {
            if !avoid.refuses(picked.id) {
                return Some(picked.clone());
            }
            picked = table.pick(hash, &avoid, dice)?;
        }
        // Differs from Envoy, which gives up here and tries the same host again: look at everybody.
        let others: Vec<_> = table.hosts().filter(|host| !avoid.refuses(host.id)).collect();
        let other = others.get(dice.below(others.len() as u64) as usize);
        Some(Arc::clone(other.copied().unwrap_or(picked)))
    }

    /// A healthy host of the best priority not tried yet; once all were tried, they all count again.
    fn pick_other_priority(&self, avoid: &Avoid<'_>, dice: &mut Dice) -> Option<Arc<Host>> {
        let settled = avoid.settled();
        if settled.is_empty() {
            return None;
        }
        let tried: Vec<u32> =
            self.hosts.iter().filter(|host| settled.contains(&host.id)).map(|host| host.priority).collect();
        let wanted = |host: &&Arc<Host>| {
            host.is_healthy() && !tried.contains(&host.priority) && !avoid.refuses(host.id)
        };
        let best = self.hosts.iter().filter(wanted).map(|host| host.priority).min()?;
        let hosts: Vec<_> = self.hosts.iter().filter(wanted).filter(|host| host.priority == best).collect();
        let weights = Weights::new(hosts.iter().map(|host| f64::from(host.endpoint.weight.max(1))));
        Some(Arc::clone(hosts[weights.index(dice.draw())?]))
    }

    /// Tells what an attempt showed about its host; may take the host out of rotation.
    pub fn report(&self, host: &Host, observed: Observed, now: Duration) {
        let Some(config) = &self.settings.outlier else { return };
        if outlier::observe(config, host, observed) && outlier::eject(config, &self.hosts, host, now) {
            self.changed(now);
        }
    }

    /// To be called about once a second: ends ejections and moves slow start on.
    pub fn tick(&self, now: Duration) {
        let mut change = false;
        if let Some(config) = &self.settings.outlier {
            let millis = now.as_millis() as u64;
            let interval = config.interval.as_millis() as u64;
            let due = |swept: u64| (millis.saturating_sub(swept) >= interval).then_some(millis);
            if self.shared.swept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).is_ok() {
                for host in &self.hosts {
                    change |= outlier::sweep(config, host, now);
                }
            }
        }
        if let Some(slow_start) = slow_start::of(&self.settings.balancing.policy) {
            // One second longer than the window: the last step, to full weight, is a change too.
            let window = slow_start.window + Duration::from_secs(2);
            change |= self.hosts.iter().any(|host| now.saturating_sub(host.state.since) < window);
        }
        if change {
            self.changed(now);
        }
    }

    fn changed(&self, now: Duration) {
        self.shared.clock.fetch_max(now.as_millis() as u64, Ordering::Relaxed);
        self.shared.changes.fetch_add(1, Ordering::Release);
    }

    /// Brings the table up to date. One worker builds; the others go on with the table there is rather than wait.
    fn refresh(&self) {
        let is_current = || self.table.load().changes == self.shared.changes.load(Ordering::Acquire);
        if is_current() {
            return;
        }
        let _building = match self.building.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if !is_current() {
            self.rebuild();
        }
    }

    fn rebuild(&self) {
        // Read first: a change during the build makes the new table out of date, and the next pick builds again.
        let changes = self.shared.changes.load(Ordering::Acquire);
        let now = Duration::from_millis(self.shared.clock.load(Ordering::Relaxed));
        self.table.store(Arc::new(Table { changes, pools: self.pools(now, changes as usize) }));
    }

    fn pools(&self, now: Duration, seed: usize) -> Vec<(u32, Pool)> {
        let balancing = &self.settings.balancing;
        let mut priorities: Vec<u32> = self.groups.iter().map(|group| group.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let levels: Vec<Level> = priorities.iter().map(|priority| self.level(*priority)).collect();
        shares(&levels, balancing.overprovisioning_factor, balancing.panic_threshold_percent)
            .into_iter()
            .map(|share| {
                let pool =
                    Pool::new(self.localities(priorities[share.level], &share, now), &balancing.policy, seed);
                (share.percent, pool)
            })
            .collect()
    }

    fn level(&self, priority: u32) -> Level {
        let mut level = Level::default();
        for host in self.hosts.iter().filter(|host| host.priority == priority) {
            level.total += 1;
            level.healthy += usize::from(host.is_healthy());
            level.degraded += usize::from(host.is_degraded());
        }
        level
    }

    /// The hosts of one share: by locality where localities are weighed, else all in one.
    fn localities(&self, priority: u32, share: &Share, now: Duration) -> Vec<LocalityHosts> {
        let balancing = &self.settings.balancing;
        let groups = || self.groups.iter().filter(|group| group.priority == priority);
        let hosts = |group: &Group| -> Vec<(Arc<Host>, f64)> {
            let wanted = group.hosts.iter().filter(|host| belongs(share.class, host));
            wanted.map(|host| (host.clone(), self.weight(host, now))).collect()
        };
        // Envoy: a locality without weight gets nothing, unless no other has a host to offer.
        let weighed = balancing.locality_weighted
            && groups()
                .any(|group| group.weight > 0 && group.hosts.iter().any(|host| belongs(share.class, host)));
        if !weighed {
            return vec![LocalityHosts { share: 1.0, hosts: groups().flat_map(hosts).collect() }];
        }
        groups()
            .filter(|group| group.weight > 0)
            .map(|group| {
                let hosts = hosts(group);
                let able = f64::from(balancing.overprovisioning_factor) / 100.0 * hosts.len() as f64
                    / group.hosts.len().max(1) as f64;
                LocalityHosts { share: f64::from(group.weight) * able.min(1.0), hosts }
            })
            .collect()
    }

    fn weight(&self, host: &Host, now: Duration) -> f64 {
        let factor = slow_start::of(&self.settings.balancing.policy)
            .map_or(1.0, |slow_start| slow_start::factor(slow_start, now.saturating_sub(host.state.since)));
        f64::from(host.endpoint.weight.max(1)) * factor
    }
}

impl Group {
    fn new(group: &LocalityGroup, known: &HashMap<HostId, &Arc<HostState>>, now: Duration) -> Self {
        let hosts = group.endpoints.iter().map(|endpoint| {
            let id = host_id(&endpoint.address);
            let state =
                known.get(&id).map_or_else(|| Arc::new(HostState::new(now)), |state| Arc::clone(state));
            let (endpoint, locality) = (endpoint.clone(), group.locality.clone());
            Arc::new(Host { id, endpoint, locality, priority: group.priority, state })
        });
        Self { priority: group.priority, weight: group.weight, hosts: hosts.collect() }
    }
}

fn belongs(class: Class, host: &Host) -> bool {
    match class {
        Class::Healthy => host.is_healthy(),
        Class::Degraded => host.is_degraded(),
        Class::Panic => true,
    }
}

impl Table {
    fn pick(&self, hash: Option<u64>, avoid: &Avoid<'_>, dice: &mut Dice) -> Option<&Arc<Host>> {
        let mut point = match self.pools.as_slice() {
            [_] => 0,
            _ => dice.below(100) as u32,
        };
        let (_, pool) = self.pools.iter().find(|(percent, _)| {
            let hit = point < *percent;
            point = point.saturating_sub(*percent);
            hit
        })?;
        pool.pick(hash, avoid, dice)
    }

    fn hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.pools.iter().flat_map(|(_, pool)| pool.hosts())
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) mod sample;
