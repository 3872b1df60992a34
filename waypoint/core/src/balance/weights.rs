//! Weighted choice over cumulated weights: one binary search, no state.

/// Weights are scaled by this, so that fractions (locality shares, slow start) survive as integers.
const SCALE: f64 = 1024.0;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Weights {
    ends: Vec<u64>,
    uniform: bool,
}

impl Weights {
    pub(super) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut total = 0;
        let mut first = None;
        let mut uniform = true;
        let ends = weights
            .map(|weight| {
                // At least one unit: a host in rotation is reachable.
                let weight = (weight * SCALE) as u64 + u64::from(weight * SCALE < 1.0);
                uniform &= *first.get_or_insert(weight) == weight;
                total += weight;
                total
            })
            .collect();
        Self { ends, uniform }
    }

    pub(super) const fn is_uniform(&self) -> bool {
        self.uniform
    }

    pub(super) fn weight(&self, index: usize) -> u64 {
        self.ends[index] - index.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// The index a fraction `random / 2^64` of the total weight falls into; `None` when there is nothing to choose.
    pub(super) fn index(&self, random: u64) -> Option<usize> {
        let total = *self.ends.last()?;
        if self.uniform {
            // Nearly always: no search.
            return Some(((u128::from(random) * self.ends.len() as u128) >> 64) as usize);
        }
        let point = ((u128::from(random) * u128::from(total)) >> 64) as u64;
        Some(self.ends.partition_point(|end| *end <= point))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_has_no_index() {
        assert_eq!(Weights::new([].into_iter()).index(5), None);
    }

    #[test]
    fn uniform_is_recognised() {
        assert!(Weights::new([2.0, 2.0].into_iter()).is_uniform());
        assert!(!Weights::new([2.0, 1.0].into_iter()).is_uniform());
    }

    proptest! {
        #[test]
        fn stays_in_bounds_and_hits_by_weight(weights in proptest::collection::vec(0.01_f64..100.0, 1..20), random: u64) {
            let table = Weights::new(weights.iter().copied());
            let index = table.index(random).unwrap();
            prop_assert!(index < weights.len());
            // The point lies within the share of the index it gave.
            let total: u64 = (0..weights.len()).map(|i| table.weight(i)).sum();
            let before: u64 = (0..index).map(|i| table.weight(i)).sum();
            let point = ((u128::from(random) * u128::from(total)) >> 64) as u64;
            prop_assert!((before..before + table.weight(index)).contains(&point));
        }
    }
}
