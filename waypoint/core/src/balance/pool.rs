//! The hosts one share of the load goes to, with the cluster's algorithm prepared over them.

use super::avoid::Avoid;
use super::host::{Host, ring_key};
use super::maglev::Maglev;
use super::ring_hash::Ring;
use super::weights::Weights;
use super::{least_request, round_robin};
use crate::dice::Dice;
use crate::model::cluster::BalancePolicy;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Hosts of one locality with its share of the pool, before anything is prepared.
#[derive(Debug)]
pub(super) struct LocalityHosts {
    pub(super) share: f64,
    /// Host and weight.
    pub(super) hosts: Vec<(Arc<Host>, f64)>,
}

#[derive(Debug)]
pub(super) struct Pool {
    localities: Vec<Locality>,
    shares: Weights,
    method: Method,
}

#[derive(Debug)]
struct Locality {
    hosts: Vec<Arc<Host>>,
    weights: Weights,
    cursor: AtomicUsize,
}

#[derive(Debug)]
enum Method {
    RoundRobin,
    LeastRequest { choices: u32 },
    Random,
    Ring(Ring),
    Maglev(Maglev),
}

impl Pool {
    /// `seed` is where round robin starts: not always at the first host after every change.
    pub(super) fn new(localities: Vec<LocalityHosts>, policy: &BalancePolicy, seed: usize) -> Self {
        match policy {
            BalancePolicy::RingHash { minimum_size, maximum_size } => {
                let (hosts, keys) = flatten(localities);
                Self::hashed(hosts, Method::Ring(Ring::new(&keys, *minimum_size, *maximum_size)))
            }
            BalancePolicy::Maglev { table_size } => {
                let (hosts, keys) = flatten(localities);
                Self::hashed(hosts, Method::Maglev(Maglev::new(&keys, *table_size)))
            }
            BalancePolicy::RoundRobin { .. } => Self::spread(localities, Method::RoundRobin, seed),
            BalancePolicy::LeastRequest { choices, .. } => {
                Self::spread(localities, Method::LeastRequest { choices: *choices }, seed)
            }
            // `ClusterProvided` clusters have no host set to pick from; one that has is spread evenly.
            BalancePolicy::Random | BalancePolicy::ClusterProvided => {
                Self::spread(localities, Method::Random, seed)
            }
        }
    }

    fn spread(localities: Vec<LocalityHosts>, method: Method, seed: usize) -> Self {
        let localities: Vec<_> =
            localities.into_iter().filter(|locality| !locality.hosts.is_empty()).collect();
        let shares = Weights::new(localities.iter().map(|locality| locality.share));
        let prepare = |locality: LocalityHosts| Locality {
            weights: Weights::new(locality.hosts.iter().map(|(_, weight)| *weight)),
            hosts: locality.hosts.into_iter().map(|(host, _)| host).collect(),
            cursor: AtomicUsize::new(seed),
        };
        Self { shares, localities: localities.into_iter().map(prepare).collect(), method }
    }

    fn hashed(hosts: Vec<Arc<Host>>, method: Method) -> Self {
        let weights = Weights::new(hosts.iter().map(|_| 1.0));
        let localities = vec![Locality { hosts, weights, cursor: AtomicUsize::default() }];
        Self { shares: Weights::new(std::iter::once(1.0)), localities, method }
    }

    pub(super) fn pick(&self, hash: Option<u64>, avoid: &Avoid<'_>, dice: &mut Dice) -> Option<&Arc<Host>> {
        let locality = &self.localities[self.shares.index(dice.draw())?];
        let wanted = |index: &usize| !avoid.refuses(locality.hosts[*index].id);
        let index = match &self.method {
            Method::RoundRobin => {
                round_robin::pick(&locality.cursor, &locality.weights, locality.hosts.len())
            }
            Method::LeastRequest { choices } => {
                least_request::pick(&locality.hosts, &locality.weights, *choices, dice)
            }
            Method::Random => locality.weights.index(dice.draw()),
            // A host to avoid gives way to the next on the ring: where its clients go when it leaves.
            Method::Ring(ring) => {
                let hash = hash.unwrap_or_else(|| dice.draw());
                ring.from(hash).find(wanted).or_else(|| ring.from(hash).next())
            }
            Method::Maglev(table) => {
                let hash = hash.unwrap_or_else(|| dice.draw());
                table.from(hash).find(wanted).or_else(|| table.from(hash).next())
            }
        }?;
        locality.hosts.get(index)
    }

    pub(super) fn hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.localities.iter().flat_map(|locality| &locality.hosts)
    }
}

/// All hosts with their key and weight, normalised to a sum of 1.
fn flatten(localities: Vec<LocalityHosts>) -> (Vec<Arc<Host>>, Vec<(String, f64)>) {
    let shares: f64 = localities.iter().filter(|locality| !locality.hosts.is_empty()).map(|l| l.share).sum();
    let weighted = localities.into_iter().flat_map(|locality| {
        let total: f64 = locality.hosts.iter().map(|(_, weight)| weight).sum();
        let scale = locality.share / shares / total;
        locality.hosts.into_iter().map(move |(host, weight)| (host, weight * scale))
    });
    weighted.map(|(host, weight)| (host.clone(), (ring_key(&host.endpoint.address), weight))).unzip()
}
