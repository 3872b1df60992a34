//! Maglev hashing: a table with nearly equal shares. Envoy: `MaglevTable`, the same keys, hash and filling order.

use crate::limits::MAGLEV_SLOTS_MAX;
use xxhash_rust::xxh64::xxh64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Maglev {
    slots: Vec<u32>,
}

struct Filler {
    offset: u64,
    skip: u64,
    next: u64,
    weight: f64,
    target: f64,
}

impl Maglev {
    /// `size` is a prime (checked by configuration); `hosts`: key and normalised weight.
    pub(super) fn new(hosts: &[(String, f64)], size: u64) -> Self {
        let size = size.clamp(3, MAGLEV_SLOTS_MAX);
        if hosts.is_empty() {
            return Self { slots: Vec::new() };
        }
        let heaviest = hosts.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
        let mut fillers: Vec<Filler> = hosts
            .iter()
            .map(|(key, weight)| Filler {
                offset: xxh64(key.as_bytes(), 0) % size,
                skip: xxh64(key.as_bytes(), 1) % (size - 1) + 1,
                next: 0,
                weight: *weight,
                target: 0.0,
            })
            .collect();
        let mut slots = vec![u32::MAX; size as usize];
        let mut left = size;
        let mut round = 1_u32;
        while left > 0 {
            for (index, filler) in fillers.iter_mut().enumerate() {
                if left == 0 {
                    break;
                }
                // Envoy: lighter hosts sit out rounds in proportion to their weight.
                if f64::from(round) * filler.weight < filler.target {
                    continue;
                }
                filler.target += heaviest;
                filler.take_slot(&mut slots, index as u32);
                left -= 1;
            }
            round += 1;
        }
        Self { slots }
    }

    /// Hosts from the slot of `hash` on; repeats are the caller's to skip.
    pub(super) fn from(&self, hash: u64) -> impl Iterator<Item = usize> + '_ {
        let start = hash.checked_rem(self.slots.len() as u64).unwrap_or(0);
        let (before, after) = self.slots.split_at(start as usize);
        after.iter().chain(before).map(|host| *host as usize)
    }
}

impl Filler {
    /// The next free slot of this host's permutation. With a prime size the permutation covers the whole table; with
    /// another it might not, so after one turn the next free slot is taken.
    fn take_slot(&mut self, slots: &mut [u32], host: u32) {
        let size = slots.len() as u64;
        let mut slot = (self.offset + self.skip * self.next) % size;
        while slots[slot as usize] != u32::MAX {
            self.next += 1;
            slot = if self.next < size {
                (self.offset + self.skip * self.next) % size
            } else {
                (slot + 1) % size
            };
        }
        slots[slot as usize] = host;
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(hosts: &[(String, f64)], size: u64) -> Vec<usize> {
        let table = Maglev::new(hosts, size);
        (0..hosts.len())
            .map(|host| table.slots.iter().filter(|slot| **slot as usize == host).count())
            .collect()
    }

    #[test]
    fn equal_weights_share_equally() {
        let hosts: Vec<_> = (0..5).map(|n| (format!("10.0.0.{n}:80"), 0.2)).collect();
        let shares = shares(&hosts, 65537);
        assert!(shares.iter().all(|share| (13107..=13108).contains(share)), "{shares:?}");
    }

    #[test]
    fn weights_are_held() {
        let shares = shares(&[("a".into(), 0.75), ("b".into(), 0.25)], 65537);
        assert!((49_100..49_200).contains(&shares[0]), "{shares:?}");
    }

    #[test]
    fn empty_has_no_host() {
        assert_eq!(Maglev::new(&[], 65537).from(7).next(), None);
    }

    proptest! {
        #[test]
        fn every_slot_is_filled(count in 1_usize..20, size in 3_u64..400) {
            let hosts: Vec<_> = (0..count).map(|n| (n.to_string(), 1.0 / count as f64)).collect();
            prop_assert_eq!(shares(&hosts, size).iter().sum::<usize>() as u64, size);
        }

        /// Few keys move when a host leaves.
        #[test]
        fn mostly_stable_when_a_host_leaves(seed: u64) {
            let hosts: Vec<_> = (0..5_u64).map(|n| (format!("{seed}-{n}"), 0.2)).collect();
            let (all, fewer) = (Maglev::new(&hosts, 5003), Maglev::new(&hosts[..4], 5003));
            let moved = (0..5003).filter(|hash| {
                let before = all.from(*hash).next();
                before != Some(4) && before != fewer.from(*hash).next()
            });
            prop_assert!(moved.count() < 1000);
        }
    }
}
