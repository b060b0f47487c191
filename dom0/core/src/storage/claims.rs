//! Who uses which bytes of which physical disk: what one domain writes is not given to another, whatever it is called there.
//!
//! A claim is made of ranges at the very bottom, so that a partition, a file on it and the whole disk know of each other.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

/// Bytes of a physical disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The disk's number, as in [`crate::block::Place::At`].
    pub device: u32,
    /// The first byte.
    pub from: u64,
    /// The byte behind the last; [`u64::MAX`] for the whole disk, however it grows.
    pub to: u64,
}

impl Range {
    /// All of a disk.
    pub const fn whole(device: u32) -> Self {
        Self { device, from: 0, to: u64::MAX }
    }

    /// Whether there is a byte that both have.
    pub const fn meets(&self, other: &Self) -> bool {
        self.device == other.device && self.from < other.to && other.from < self.to
    }
}

/// Ranges in order, joined where they meet or touch, so that two such lists are compared in one walk: a file may have very many.
fn in_order(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable_by_key(|range| (range.device, range.from));
    ranges.dedup_by(|next, last| {
        let joins = next.device == last.device && next.from <= last.to;
        if joins {
            last.to = last.to.max(next.to);
        }
        joins
    });
    ranges
}

/// Whether there is a byte that two lists in order both have.
fn meet(mut one: &[Range], mut other: &[Range]) -> bool {
    while let ([first, rest @ ..], [second, others @ ..]) = (one, other) {
        if first.meets(second) {
            return true;
        }
        if (first.device, first.to) <= (second.device, second.to) {
            one = rest;
        } else {
            other = others;
        }
    }
    false
}

/// A claim that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimId(u64);

#[derive(Debug)]
struct Claim {
    id: ClaimId,
    holder: String,
    write: bool,
    /// In order.
    ranges: Vec<Range>,
}

/// Why a claim is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Who holds what is in the way.
    pub holder: String,
    /// That one writes.
    pub written: bool,
}

impl fmt::Display for InUse {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.written {
            write!(to, "{} writes it; detach it there first, or give it to both read-only", self.holder)
        } else {
            write!(to, "{} reads it, so nobody may write it; detach it there first, or give it read-only here, too", self.holder)
        }
    }
}

impl core::error::Error for InUse {}

/// All claims.
#[derive(Debug, Default)]
pub struct Claims {
    held: Vec<Claim>,
    made: u64,
}

impl Claims {
    /// No claims.
    pub const fn new() -> Self {
        Self { held: Vec::new(), made: 0 }
    }

    /// Claims ranges for `holder`, which is named in messages to others.
    ///
    /// # Errors
    /// Somebody else has claimed some of the bytes, and one of both writes.
    pub fn take(&mut self, holder: &str, ranges: Vec<Range>, write: bool) -> Result<ClaimId, InUse> {
        let ranges = in_order(ranges);
        let meets = |claim: &&Claim| meet(&claim.ranges, &ranges);
        if let Some(other) = self.held.iter().filter(|claim| claim.write || write).find(meets) {
            return Err(InUse { holder: other.holder.clone(), written: other.write });
        }
        self.made += 1;
        let id = ClaimId(self.made);
        self.held.push(Claim { id, holder: holder.into(), write, ranges });
        Ok(id)
    }

    /// Claims more for one who has a claim: what a file has grown by.
    ///
    /// # Errors
    /// As for [`Claims::take`]; the claim stays as it was.
    pub fn extend(&mut self, id: ClaimId, more: &[Range]) -> Result<(), InUse> {
        let Some(at) = self.held.iter().position(|claim| claim.id == id) else { return Ok(()) };
        let write = self.held[at].write;
        let meets = |claim: &&Claim| claim.ranges.iter().any(|held| more.iter().any(|wanted| held.meets(wanted)));
        let others = self.held.iter().filter(|claim| claim.id != id && (claim.write || write));
        if let Some(other) = { others }.find(meets) {
            return Err(InUse { holder: other.holder.clone(), written: other.write });
        }
        let mut ranges = core::mem::take(&mut self.held[at].ranges);
        ranges.extend_from_slice(more);
        self.held[at].ranges = in_order(ranges);
        Ok(())
    }

    /// Ends a claim.
    pub fn give(&mut self, id: ClaimId) {
        self.held.retain(|claim| claim.id != id);
    }

    /// Who uses some of these bytes, for lists: each holder, and whether he writes.
    pub fn holders(&self, range: &Range) -> impl Iterator<Item = (&str, bool)> {
        let meets = move |claim: &&Claim| claim.ranges.iter().any(|held| held.meets(range));
        self.held.iter().filter(meets).map(|claim| (claim.holder.as_str(), claim.write))
    }
}

/// How a guest's disk is named as a holder: `xvda of linux`.
pub fn holder(domain: &str, vdev: &str) -> String {
    format!("{vdev} of {domain}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;
    use std::vec;

    fn part(from: u64, to: u64) -> Range {
        Range { device: 1, from, to }
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let mut claims = Claims::new();
        let first = claims.take("xvda of a", vec![Range::whole(1)], false).unwrap();
        let second = claims.take("xvda of b", vec![part(0, 10)], false).unwrap();
        let refused = claims.take("xvda of c", vec![part(5, 6)], true).unwrap_err().to_string();
        assert!(refused.starts_with("xvda of a reads it"), "{refused}");
        claims.give(first);
        assert!(claims.take("c", vec![part(9, 20)], true).is_err());
        let third = claims.take("c", vec![part(10, 20)], true).unwrap();
        assert!(claims.take("d", vec![part(15, 16)], false).unwrap_err().to_string().contains("c writes it"));
        assert!(claims.take("d", vec![Range { device: 2, from: 0, to: 100 }], true).is_ok());
        assert_eq!(claims.holders(&part(0, 15)).collect::<Vec<_>>(), [("xvda of b", false), ("c", true)]);
        claims.give(second);
        claims.give(third);
        assert!(claims.take("e", vec![Range::whole(1)], true).is_ok());
    }

    #[test]
    fn a_claim_can_grow_if_nobody_is_in_the_way() {
        let mut claims = Claims::new();
        let id = claims.take("a", vec![part(0, 10)], true).unwrap();
        claims.take("b", vec![part(20, 30)], false).unwrap();
        assert_eq!(claims.extend(id, &[part(10, 20)]), Ok(()));
        assert_eq!(claims.extend(id, &[part(15, 21)]).unwrap_err().holder, "b");
        assert!(claims.take("c", vec![part(15, 16)], false).is_err());
    }

    proptest! {
        #[test]
        fn lists_meet_where_any_of_their_ranges_do(lists in prop::array::uniform2(prop::collection::vec((0u32..3, 0u64..30, 1u64..5), 0..8))) {
            let lists = lists.map(|list| list.iter().map(|&(device, from, length)| Range { device, from, to: from + length }).collect::<Vec<_>>());
            let expected = lists[0].iter().any(|one| lists[1].iter().any(|other| one.meets(other)));
            let [one, other] = lists.map(in_order);
            prop_assert_eq!(meet(&one, &other), expected);
        }

        /// At no time has a byte that one writes another user.
        #[test]
        fn no_byte_is_written_and_shared(wanted in prop::collection::vec((0u64..20, 1u64..8, any::<bool>(), any::<bool>()), 0..40)) {
            let mut claims = Claims::new();
            let mut users: Vec<(ClaimId, u64, u64, bool)> = Vec::new();
            for (from, length, write, give) in wanted {
                if give && !users.is_empty() {
                    claims.give(users.remove(0).0);
                }
                let fits = users.iter().all(|(_, f, t, w)| from >= *t || *f >= from + length || !(*w || write));
                let taken = claims.take("x", vec![part(from, from + length)], write);
                prop_assert_eq!(taken.is_ok(), fits);
                users.extend(taken.ok().map(|id| (id, from, from + length, write)));
            }
        }
    }
}
