//! Chance that can be repeated: SplitMix64, since a cut that lost data has to be made again from its number.

/// A stream of numbers that its seed decides.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream that belongs to a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream for one of many things, so that each can be repeated alone.
    pub fn of(seed: u64, index: u64) -> Self {
        let mut mixed = Self(seed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
        Self(mixed.next())
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_all() {
        let draw = |mut chance: Chance| [chance.below(1000), chance.below(1000), chance.below(1000)];
        assert_eq!(draw(Chance::of(7, 3)), draw(Chance::of(7, 3)));
        assert_ne!(draw(Chance::of(7, 3)), draw(Chance::of(7, 4)));
        assert_ne!(draw(Chance::of(7, 3)), draw(Chance::of(8, 3)));
    }
}
