//! Randomness as a value: decisions take `&mut Dice`, so they stay pure and every test can replay them.
//!
//! SplitMix64: one multiplication chain per draw, good enough for load spreading, not for secrets.

/// A seeded stream of random numbers; the IO makes one per request.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform over `0..bound`; 0 for an empty range.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Multiply-shift instead of modulo: unbiased enough for any bound a configuration can hold.
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `numerator` of `denominator` cases.
    pub fn chance(&mut self, numerator: u32, denominator: u32) -> bool {
        // Certainties cost no draw: most fractions are 0 % or 100 %.
        numerator >= denominator || (numerator > 0 && self.below(denominator.into()) < numerator.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let mut dice = Dice::new(7);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[dice.below(10) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
        assert_eq!(dice.below(0), 0);
    }

    #[test]
    fn certain_and_impossible_fractions() {
        let mut dice = Dice::new(1);
        assert!((0..1000).all(|_| dice.chance(100, 100) && !dice.chance(0, 100)));
        let hits = (0..10_000).filter(|_| dice.chance(25, 100)).count();
        assert!((2200..2800).contains(&hits), "{hits}");
    }
}
