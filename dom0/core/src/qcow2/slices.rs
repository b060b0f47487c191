//! L2 tables and refcount blocks in memory, in slices: a table may have 2 MiB, and a busy image needs a few entries of many.
//!
//! The cache is bounded. What has been changed stays until it is written; the order in which it is written is [`super::commit`]'s.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::Cell;

/// The most that slices take, in bytes.
pub const CACHE_BYTES: usize = 2 << 20;
/// The most that one slice has; clusters may be smaller.
const SLICE_BYTES: u64 = 4096;

/// When a changed slice may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// At any time: reference counts, and tables that nothing durable refers to.
    First,
    /// When everything of the first phase is durable, and the guest's data.
    Second,
}

/// The most slices, however small: the oldest is looked for among all.
const MOST_SLICES: usize = 1024;

struct Slice {
    bytes: Box<[u8]>,
    used: Cell<u64>,
}

/// The cache. Slices go by the offset at which they lie below.
pub(super) struct Slices {
    slices: BTreeMap<u64, Slice>,
    changed: [BTreeSet<u64>; 2],
    slice_bytes: u64,
    most: usize,
    clock: Cell<u64>,
}

impl Slices {
    pub fn new(cluster: u64) -> Self {
        let slice_bytes = cluster.min(SLICE_BYTES);
        let most = (CACHE_BYTES / slice_bytes as usize).min(MOST_SLICES);
        Self { slices: BTreeMap::new(), changed: Default::default(), slice_bytes, most, clock: Cell::new(0) }
    }

    /// The slice in which a byte lies: where it begins.
    pub fn start(&self, offset: u64) -> u64 {
        offset & !(self.slice_bytes - 1)
    }

    pub fn slice_bytes(&self) -> u64 {
        self.slice_bytes
    }

    /// The slice that begins at `start`, if it is here.
    pub fn get(&self, start: u64) -> Option<&[u8]> {
        let slice = self.slices.get(&start)?;
        self.clock.set(self.clock.get() + 1);
        slice.used.set(self.clock.get());
        Some(&slice.bytes)
    }

    /// To be changed; it becomes one of the changed.
    pub fn change(&mut self, start: u64, phase: Phase) -> Option<&mut [u8]> {
        let slice = self.slices.get_mut(&start)?;
        // What waits for the second phase is not hurried by a change that need not wait.
        if phase == Phase::Second || !self.changed[1].contains(&start) {
            self.changed[0].remove(&start);
            self.changed[phase as usize].insert(start);
        }
        Some(&mut slice.bytes)
    }

    /// Puts in a slice that has been read, or that is new.
    pub fn insert(&mut self, start: u64, bytes: Vec<u8>) {
        while self.slices.len() >= self.most && self.evict() {}
        self.clock.set(self.clock.get() + 1);
        self.slices.insert(start, Slice { bytes: bytes.into(), used: self.clock.clone() });
    }

    /// Forgets what lies in a cluster that is no table any more.
    pub fn forget(&mut self, offset: u64, bytes: u64) {
        let starts: Vec<u64> = self.slices.range(offset..offset.saturating_add(bytes)).map(|(&start, _)| start).collect();
        for start in starts {
            self.slices.remove(&start);
            self.written(start);
        }
    }

    /// Those that wait for a phase.
    pub fn changed(&self, phase: Phase) -> Vec<u64> {
        self.changed[phase as usize].iter().copied().collect()
    }

    pub fn any_changed(&self) -> bool {
        self.changed.iter().any(|changed| !changed.is_empty())
    }

    /// Whether what has been changed should be written soon, for the sake of room.
    pub fn crowded(&self) -> bool {
        self.changed[0].len() + self.changed[1].len() > self.most / 2
    }

    /// It lies below as it is here.
    pub fn written(&mut self, start: u64) {
        self.changed.iter_mut().for_each(|changed| {
            changed.remove(&start);
        });
    }

    /// Drops what was not used for the longest time and is unchanged.
    fn evict(&mut self) -> bool {
        let unchanged = self.slices.iter().filter(|(start, _)| !self.changed.iter().any(|changed| changed.contains(start)));
        let oldest = unchanged.min_by_key(|(_, slice)| slice.used.get()).map(|(&start, _)| start);
        oldest.is_some_and(|start| self.slices.remove(&start).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_was_changed() {
        let mut slices = Slices::new(65536);
        slices.insert(4096, vec![1; 4096]);
        slices.change(4096, Phase::Second).unwrap()[0] = 7;
        slices.insert(8192, vec![2; 4096]);
        for index in 0..1000 {
            slices.insert(1 << 30 | index << 12, vec![0; 4096]);
        }
        assert_eq!(slices.slices.len() * 4096, CACHE_BYTES);
        assert_eq!(slices.get(4096).unwrap()[..2], [7, 1]);
        assert!(slices.get(8192).is_none());
    }

    #[test]
    fn the_later_phase_wins() {
        let mut slices = Slices::new(512);
        slices.insert(512, vec![0; 512]);
        slices.change(512, Phase::First);
        slices.change(512, Phase::Second);
        slices.change(512, Phase::First);
        assert_eq!((slices.changed(Phase::First), slices.changed(Phase::Second)), (vec![], vec![512]));
        slices.forget(0, 1024);
        assert!(!slices.any_changed());
    }
}
