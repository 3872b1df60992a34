//! Consistent hashing on a ring. Envoy: `RingHashLoadBalancer`, the same keys, hash and sizes.

use crate::limits::RING_ENTRIES_MAX;
use std::fmt::Write as _;
use xxhash_rust::xxh64::xxh64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    /// (hash, host), sorted by hash.
    entries: Vec<(u64, u32)>,
}

impl Ring {
    /// `hosts`: key and normalised weight; the weights sum to 1.
    pub(super) fn new(hosts: &[(String, f64)], minimum_size: u64, maximum_size: u64) -> Self {
        let maximum = maximum_size.clamp(1, RING_ENTRIES_MAX) as f64;
        let minimum = (minimum_size as f64).min(maximum);
        let lightest = hosts.iter().map(|(_, weight)| *weight).fold(1.0, f64::min);
        // Envoy: as many whole entries for the lightest host as the minimum size asks for, unless that is too many.
        let scale = ((lightest * minimum).ceil() / lightest).min(maximum);
        let mut entries = Vec::with_capacity(scale as usize + hosts.len());
        let mut target = 0.0;
        let mut key_and_number = String::new();
        for (index, (key, weight)) in hosts.iter().enumerate() {
            target += scale * weight;
            let mut number = 0_u32;
            while (entries.len() as f64) < target {
                key_and_number.clear();
                let _ = write!(key_and_number, "{key}_{number}");
                entries.push((xxh64(key_and_number.as_bytes(), 0), index as u32));
                number += 1;
            }
        }
        entries.sort_unstable();
        Self { entries }
    }

    /// Hosts in ring order from `hash` on; repeats are the caller's to skip.
    pub(super) fn from(&self, hash: u64) -> impl Iterator<Item = usize> + '_ {
        let start = self.entries.partition_point(|(entry, _)| *entry < hash);
        let (before, after) = self.entries.split_at(start);
        after.iter().chain(before).map(|(_, index)| *index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring(keys: &[&str]) -> Ring {
        let weight = 1.0 / keys.len() as f64;
        let hosts: Vec<_> = keys.iter().map(|key| ((*key).to_owned(), weight)).collect();
        Ring::new(&hosts, 1024, 8 << 20)
    }

    #[test]
    fn sizes_follow_the_minimum_and_the_limit() {
        assert_eq!(ring(&["a"]).entries.len(), 1024);
        assert_eq!(ring(&["a", "b", "c"]).entries.len(), 1026);
        let small = Ring::new(&[("a".into(), 0.5), ("b".into(), 0.5)], 1024, 10);
        assert_eq!(small.entries.len(), 10);
    }

    #[test]
    fn weights_share_the_ring() {
        let ring = Ring::new(&[("a".into(), 0.75), ("b".into(), 0.25)], 1024, 8 << 20);
        assert_eq!(ring.entries.iter().filter(|(_, host)| *host == 0).count(), 768);
    }

    proptest! {
        /// Taking one host away moves only the keys that were on it.
        #[test]
        fn stable_when_a_host_leaves(hash: u64) {
            let all = ring(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"]);
            let fewer = ring(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
            let before = all.from(hash).next().unwrap();
            // The smaller ring gives each host more entries; on those both have, every key stays where it was.
            if before < 3 {
                let common = fewer.entries.iter().copied().filter(|entry| all.entries.contains(entry)).collect();
                prop_assert_eq!(Ring { entries: common }.from(hash).next(), Some(before));
            }
        }

        #[test]
        fn same_hash_same_host(hash: u64) {
            let (a, b) = (ring(&["x", "y", "z"]), ring(&["x", "y", "z"]));
            prop_assert_eq!(a.from(hash).next(), b.from(hash).next());
        }
    }
}
