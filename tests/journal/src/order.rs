//! An order of slots that looks random and leaves none out: a permutation that needs no memory.

/// The place of `index` in the order that `seed` names; both are below `slots`.
pub(crate) fn place(seed: u64, slots: u64, index: u64) -> u64 {
    let (half, mask) = halves(slots);
    let mut value = index;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ turn(seed, round, right) & mask);
        }
        value = left << half | right;
        if value < slots {
            return value;
        }
    }
}

/// The other way: what lies at a place.
pub(crate) fn index(seed: u64, slots: u64, place: u64) -> u64 {
    let (half, mask) = halves(slots);
    let mut value = place;
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ turn(seed, round, left) & mask, left);
        }
        value = left << half | right;
        if value < slots {
            return value;
        }
    }
}

/// A network of so many rounds permutes an even number of bits; what falls beyond the slots goes round again.
const ROUNDS: u64 = 4;

fn halves(slots: u64) -> (u32, u64) {
    let half = (64 - (slots - 1).leading_zeros()).div_ceil(2).max(1);
    (half, (1 << half) - 1)
}

fn turn(seed: u64, round: u64, right: u64) -> u64 {
    mix(seed ^ mix(right << 3 | round))
}

/// Every bit of the result depends on every bit of `value` (the finaliser of splitmix64).
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    #[test]
    fn every_slot_is_filled_once() {
        for slots in [1, 2, 3, 4, 5, 100, 1000, 4096, 5000] {
            let places: BTreeSet<u64> = (0..slots).map(|index| place(9, slots, index)).collect();
            assert_eq!(places.len() as u64, slots);
            assert_eq!(places.last(), Some(&(slots - 1)));
            assert!((0..slots).all(|at| index(9, slots, place(9, slots, at)) == at));
        }
    }

    #[test]
    fn neighbours_are_far_apart() {
        let places: Vec<u64> = (0..100).map(|index| place(1, 1 << 18, index)).collect();
        let close = places.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 16).count();
        assert!(close < 3, "{places:?}");
        assert_ne!(place(1, 1 << 18, 5), place(2, 1 << 18, 5));
    }
}
