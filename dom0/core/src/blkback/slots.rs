//! The places where pages of a front end are mapped, and which of them stay mapped: with persistent grants a front end uses the same pages
//! again and again, so that a request needs no call into the hypervisor.
//!
//! Pure bookkeeping over numbered slots: the kernel maps and unmaps. A slot is used by one request at a time; a page that two requests name at
//! once is mapped twice. So nothing is counted. When no slot is free one gives way that was not used lately: a hand goes round, passes by those
//! used since it came by last, and takes the first other. No list is kept in order, so using a page that stays mapped costs two marks.

use alloc::{boxed::Box, vec};

/// The number of a slot.
pub type Slot = u16;

/// No slot: the end of a chain.
pub const NONE: Slot = Slot::MAX;

/// Pages that stay mapped for a ring at most, as in Linux: a ring of 32 requests of 32 segments, each with its page of segments.
pub const PERSISTENT_MAX: usize = 32 * 32 + 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Nothing is mapped.
    Free,
    /// Mapped and in use by a request.
    Busy,
    /// Mapped and in use by a request; found by its reference when that is done.
    Kept,
    /// Mapped, found by its reference, may give way.
    Idle,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    gref: u32,
    usage: Use,
    /// Used since the hand came by.
    lately: bool,
    /// The next that is free.
    next: Slot,
    /// The next with the same hash.
    chain: Slot,
}

/// All slots of a queue.
#[derive(Debug)]
pub struct Slots {
    entries: Box<[Entry]>,
    buckets: Box<[Slot]>,
    free: Slot,
    free_count: usize,
    /// Where the search for one that may give way goes on.
    hand: usize,
    idle_count: usize,
}

impl Slots {
    /// So many slots, all free; [`NONE`] at most.
    pub fn new(count: usize) -> Self {
        let count = count.min(usize::from(NONE));
        let next = |slot: usize| if slot + 1 < count { (slot + 1) as Slot } else { NONE };
        let entry = |slot| Entry { gref: 0, usage: Use::Free, lately: false, next: next(slot), chain: NONE };
        Self {
            entries: (0..count).map(entry).collect(),
            buckets: vec![NONE; count.next_power_of_two().max(1)].into(),
            free: if count == 0 { NONE } else { 0 },
            free_count: count,
            hand: 0,
            idle_count: 0,
        }
    }

    /// How many requests' pages could be placed now, idle ones giving way.
    pub fn room(&self) -> usize {
        self.free_count + self.idle_count
    }

    /// How many are free without another giving way.
    pub fn free(&self) -> usize {
        self.free_count
    }

    /// How many are mapped and unused.
    pub fn idle(&self) -> usize {
        self.idle_count
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes the slot where a page is mapped already and not in use.
    #[inline]
    pub fn find(&mut self, gref: u32) -> Option<Slot> {
        let mut slot = self.buckets[self.bucket(gref)];
        while slot != NONE {
            let entry = &mut self.entries[usize::from(slot)];
            if entry.gref == gref {
                if entry.usage != Use::Idle {
                    return None;
                }
                entry.usage = Use::Kept;
                self.idle_count -= 1;
                return Some(slot);
            }
            slot = entry.chain;
        }
        None
    }

    /// Takes a free slot, for a page that is to be mapped there.
    pub fn take(&mut self, gref: u32) -> Option<Slot> {
        let slot = self.free;
        let entry = self.entries.get_mut(usize::from(slot))?;
        self.free = entry.next;
        self.free_count -= 1;
        *entry = Entry { gref, usage: Use::Busy, lately: false, next: NONE, chain: NONE };
        Some(slot)
    }

    /// Ends the use of a slot. If it may not be kept, or another is kept for the same page, it must be unmapped and [`Slots::give`]n back:
    /// then the answer is true.
    pub fn end(&mut self, slot: Slot, keep: bool) -> bool {
        let entry = self.entries[usize::from(slot)];
        debug_assert!(matches!(entry.usage, Use::Busy | Use::Kept), "in use");
        if entry.usage == Use::Busy {
            if !keep || self.is_known(entry.gref) {
                return true;
            }
            self.remember(slot);
        }
        let entry = &mut self.entries[usize::from(slot)];
        (entry.usage, entry.lately) = (Use::Idle, true);
        self.idle_count += 1;
        false
    }

    /// An idle slot that was not used lately, which must be unmapped and [`Slots::give`]n back. None if none is idle. Looks at each slot twice at most.
    pub fn evict(&mut self) -> Option<Slot> {
        if self.idle_count == 0 {
            return None;
        }
        let slot = loop {
            let slot = self.hand;
            self.hand = if slot + 1 < self.entries.len() { slot + 1 } else { 0 };
            let entry = &mut self.entries[slot];
            if !core::mem::take(&mut entry.lately) && entry.usage == Use::Idle {
                break slot as Slot;
            }
        };
        self.forget(slot);
        self.entries[usize::from(slot)].usage = Use::Busy;
        self.idle_count -= 1;
        Some(slot)
    }

    /// Makes a slot free where nothing is mapped any more, or nothing could be.
    pub fn give(&mut self, slot: Slot) {
        let entry = &mut self.entries[usize::from(slot)];
        debug_assert!(entry.usage == Use::Busy, "taken, and not found by its reference");
        entry.usage = Use::Free;
        entry.next = self.free;
        self.free = slot;
        self.free_count += 1;
    }

    fn bucket(&self, gref: u32) -> usize {
        // The front end chooses references; a chain is never longer than there are slots, and usually references are dense.
        gref as usize & (self.buckets.len() - 1)
    }

    fn is_known(&self, gref: u32) -> bool {
        let mut slot = self.buckets[self.bucket(gref)];
        while slot != NONE && self.entries[usize::from(slot)].gref != gref {
            slot = self.entries[usize::from(slot)].chain;
        }
        slot != NONE
    }

    fn remember(&mut self, slot: Slot) {
        let bucket = self.bucket(self.entries[usize::from(slot)].gref);
        self.entries[usize::from(slot)].chain = core::mem::replace(&mut self.buckets[bucket], slot);
    }

    fn forget(&mut self, slot: Slot) {
        let chain = self.entries[usize::from(slot)].chain;
        let bucket = self.bucket(self.entries[usize::from(slot)].gref);
        if self.buckets[bucket] == slot {
            self.buckets[bucket] = chain;
            return;
        }
        let mut before = self.buckets[bucket];
        while self.entries[usize::from(before)].chain != slot {
            before = self.entries[usize::from(before)].chain;
        }
        self.entries[usize::from(before)].chain = chain;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn a_page_is_found_again() {
        let mut slots = Slots::new(2);
        assert_eq!(slots.find(7), None);
        let slot = slots.take(7).unwrap();
        assert_eq!(slots.find(7), None, "in use");
        assert!(!slots.end(slot, true));
        assert_eq!(slots.find(7), Some(slot));
        // Named twice at once: the second mapping is not kept.
        let second = slots.take(7).unwrap();
        assert!(!slots.end(slot, true));
        assert!(slots.end(second, true));
        slots.give(second);
        assert_eq!((slots.free(), slots.idle()), (1, 1));
    }

    #[test]
    fn who_was_not_used_lately_gives_way() {
        let mut slots = Slots::new(3);
        let all = [10, 11, 12].map(|gref| slots.take(gref).unwrap());
        assert_eq!(slots.take(13), None);
        assert!(all.iter().all(|&slot| !slots.end(slot, true)));
        assert_eq!(slots.evict(), Some(all[0]), "all were, so the hand goes round");
        slots.give(all[0]);
        assert_eq!(slots.find(10), None);
        assert_eq!(slots.find(11), Some(all[1]));
        assert!(!slots.end(all[1], true));
        assert_eq!(slots.evict(), Some(all[2]));
        slots.give(all[2]);
        assert_eq!(slots.take(13), Some(all[2]));
        assert_eq!((slots.evict(), slots.evict()), (Some(all[1]), None), "the other is in use");
    }

    #[test]
    fn without_persistent_grants_nothing_stays() {
        let mut slots = Slots::new(1);
        let slot = slots.take(5).unwrap();
        assert!(slots.end(slot, false));
        slots.give(slot);
        assert_eq!((slots.find(5), slots.room()), (None, 1));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Begin(u32),
        End(usize, bool),
        Evict,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0u32..12).prop_map(|gref| Step::Begin(gref * 5)),
            4 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(which, keep)| Step::End(which, keep)),
            1 => Just(Step::Evict),
        ]
    }

    proptest! {
        /// Against a model: what is kept, what of it was used since the hand came by, and where that is.
        #[test]
        fn as_the_model_has_it(count in 1usize..9, steps in prop::collection::vec(step(), 0..200)) {
            let mut slots = Slots::new(count);
            let mut busy: Vec<(Slot, u32)> = Vec::new();
            let mut idle: Vec<(Slot, u32)> = Vec::new();
            let (mut lately, mut hand) = (BTreeSet::new(), 0);
            let mut known: BTreeMap<u32, Slot> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Begin(gref) => {
                        let expected = idle.iter().position(|(_, g)| *g == gref);
                        let found = slots.find(gref);
                        prop_assert_eq!(found, expected.map(|at| idle.remove(at).0));
                        if let Some(slot) = found.or_else(|| slots.take(gref)) {
                            busy.push((slot, gref));
                        } else {
                            prop_assert_eq!(busy.len() + idle.len(), count);
                        }
                    }
                    Step::End(which, keep) if !busy.is_empty() => {
                        let (slot, gref) = busy.remove(which % busy.len());
                        let kept = known.get(&gref) == Some(&slot) || (keep && !known.contains_key(&gref));
                        prop_assert_eq!(slots.end(slot, keep), !kept);
                        if kept {
                            known.insert(gref, slot);
                            idle.push((slot, gref));
                            lately.insert(slot);
                        } else {
                            slots.give(slot);
                        }
                    }
                    Step::End(..) => {}
                    Step::Evict => {
                        let round: Vec<Slot> = (hand..count).chain(0..hand).map(|slot| slot as Slot).collect();
                        let is_idle = |slot: Slot| idle.iter().any(|(other, _)| *other == slot);
                        let first = round.iter().position(|&slot| is_idle(slot) && !lately.contains(&slot));
                        let expected = first.or_else(|| round.iter().position(|&slot| is_idle(slot))).map(|at| round[at]);
                        prop_assert_eq!(slots.evict(), expected);
                        if let Some(at) = idle.iter().position(|(slot, _)| Some(*slot) == expected) {
                            round[..first.unwrap_or(count)].iter().for_each(|slot| _ = lately.remove(slot));
                            let (slot, gref) = idle.remove(at);
                            hand = (usize::from(slot) + 1) % count;
                            known.remove(&gref);
                            slots.give(slot);
                        }
                    }
                }
                prop_assert_eq!(slots.idle(), idle.len());
                prop_assert_eq!(slots.free(), count - idle.len() - busy.len());
                let used: BTreeSet<Slot> = busy.iter().chain(&idle).map(|(slot, _)| *slot).collect();
                prop_assert_eq!(used.len(), busy.len() + idle.len(), "no slot twice");
            }
        }
    }

    use std::vec::Vec;
}
