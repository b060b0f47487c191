//! Device memory: which frames that are no RAM a domain may map, and how many page-table entries name them.
//!
//! Such frames have no entry in the frame table, so nothing is counted by frame. A domain is permitted *ranges* of them, and each range counts
//! the entries of the domain's L1 tables that name a frame of it: a range cannot go while it is in use. The ranges of a domain never
//! overlap, so a frame is of one range. All domains share one table of fixed size.

use abi::errno::Errno;

use crate::ids::{DomId, Mfn};

/// Ranges of all domains together.
pub const MAX_RANGES: usize = 64;

/// Frames that a domain may map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceRange {
    /// Who may.
    pub domain: DomId,
    /// First frame.
    pub first: u64,
    /// The one behind the last.
    pub end: u64,
    /// Entries of the domain's L1 tables that name a frame of it.
    pub mapped: u64,
}

impl DeviceRange {
    fn touches(&self, first: u64, end: u64) -> bool {
        first < self.end && self.first < end
    }
}

/// Who may map what.
pub struct DeviceFrames {
    ranges: [Option<DeviceRange>; MAX_RANGES],
}

impl DeviceFrames {
    pub(super) const fn new() -> Self {
        DeviceFrames { ranges: [None; MAX_RANGES] }
    }

    /// The ranges, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &DeviceRange> {
        self.ranges.iter().flatten()
    }

    /// The range of a domain that a frame is in.
    fn range(&mut self, domain: DomId, mfn: Mfn) -> Option<&mut DeviceRange> {
        self.ranges.iter_mut().flatten().find(|range| range.domain == domain && range.touches(mfn.0, mfn.0 + 1))
    }

    /// True if a domain may map the frame.
    pub fn permitted(&self, domain: DomId, mfn: Mfn) -> bool {
        self.iter().any(|range| range.domain == domain && range.touches(mfn.0, mfn.0 + 1))
    }

    /// True if any domain may map any of the frames from `first` up to but without `end`.
    pub fn any_permitted(&self, first: u64, end: u64) -> bool {
        self.iter().any(|range| range.touches(first, end))
    }

    /// Permits frames. Ranges that overlap become one. The caller has checked that they are no RAM.
    ///
    /// # Errors
    /// -ENOSPC if the table is full.
    pub fn permit(&mut self, domain: DomId, first: u64, end: u64) -> Result<(), Errno> {
        let overlaps = |range: &DeviceRange| range.domain == domain && range.touches(first, end);
        let mut new = DeviceRange { domain, first, end, mapped: 0 };
        // Those that overlap give their places, so one is free afterwards if any does.
        for slot in &mut self.ranges {
            if let Some(range) = slot.take_if(|range| overlaps(range)) {
                new.first = new.first.min(range.first);
                new.end = new.end.max(range.end);
                new.mapped += range.mapped;
            }
        }
        *self.free_slot().ok_or(Errno::NOSPC)? = Some(new);
        Ok(())
    }

    /// Withdraws frames; those that were not permitted do not matter.
    ///
    /// # Errors
    /// -EBUSY if a range that has some of them is mapped anywhere, -ENOSPC if a range would fall in two and the table is full;
    /// nothing changes then.
    pub fn withdraw(&mut self, domain: DomId, first: u64, end: u64) -> Result<(), Errno> {
        let touched = |range: &DeviceRange| range.domain == domain && range.touches(first, end);
        if self.iter().any(|range| touched(range) && range.mapped != 0) {
            return Err(Errno::BUSY);
        }
        // Only a range around all of them falls in two, and then it is the only one touched.
        let around = self.iter().copied().find(|range| touched(range) && range.first < first && end < range.end);
        if let Some(around) = around {
            *self.free_slot().ok_or(Errno::NOSPC)? = Some(DeviceRange { first: end, ..around });
        }
        for slot in &mut self.ranges {
            let Some(range) = slot.filter(|range| touched(range)) else { continue };
            *slot = match (range.first < first, end < range.end) {
                (true, _) => Some(DeviceRange { end: first, ..range }),
                (false, true) => Some(DeviceRange { first: end, ..range }),
                (false, false) => None,
            };
        }
        Ok(())
    }

    /// Counts an entry that is about to name a frame.
    ///
    /// # Errors
    /// -EPERM if the domain may not.
    pub fn count(&mut self, domain: DomId, mfn: Mfn) -> Result<(), Errno> {
        self.range(domain, mfn).ok_or(Errno::PERM)?.mapped += 1;
        Ok(())
    }

    /// Counts an entry less that named a frame.
    pub fn uncount(&mut self, domain: DomId, mfn: Mfn) {
        let range = self.range(domain, mfn).expect("what is mapped is permitted");
        range.mapped = range.mapped.checked_sub(1).expect("every mapping was counted");
    }

    /// Forgets what a domain without page tables may map.
    pub fn forget(&mut self, domain: DomId) {
        for slot in &mut self.ranges {
            let gone = slot.take_if(|range| range.domain == domain);
            assert!(gone.is_none_or(|range| range.mapped == 0), "the domain has no page tables");
        }
    }

    fn free_slot(&mut self) -> Option<&mut Option<DeviceRange>> {
        self.ranges.iter_mut().find(|slot| slot.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(devices: &DeviceFrames, domain: DomId) -> std::vec::Vec<(u64, u64)> {
        let mut found: std::vec::Vec<_> =
            devices.iter().filter(|range| range.domain == domain).map(|range| (range.first, range.end)).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn overlapping_ranges_are_one_and_keep_their_count() {
        let mut devices = DeviceFrames::new();
        devices.permit(0, 10, 20).expect("room");
        devices.permit(0, 30, 40).expect("room");
        devices.permit(1, 10, 20).expect("room");
        devices.count(0, Mfn(19)).expect("permitted");
        devices.count(0, Mfn(30)).expect("permitted");
        devices.permit(0, 15, 35).expect("room");
        assert_eq!((ranges(&devices, 0), ranges(&devices, 1)), (std::vec![(10, 40)], std::vec![(10, 20)]));
        assert_eq!(devices.withdraw(0, 39, 40), Err(Errno::BUSY));
        devices.uncount(0, Mfn(30));
        assert_eq!(devices.withdraw(0, 39, 40), Err(Errno::BUSY));
        devices.uncount(0, Mfn(19));
        assert_eq!(devices.withdraw(0, 39, 40), Ok(()));
        assert_eq!(ranges(&devices, 0), [(10, 39)]);
    }

    #[test]
    fn a_range_can_lose_its_head_its_tail_its_middle_or_all() {
        let mut devices = DeviceFrames::new();
        devices.permit(0, 10, 30).expect("room");
        devices.withdraw(0, 14, 16).expect("unused");
        assert_eq!(ranges(&devices, 0), [(10, 14), (16, 30)]);
        devices.withdraw(0, 5, 12).expect("unused");
        devices.withdraw(0, 28, 99).expect("unused");
        assert_eq!(ranges(&devices, 0), [(12, 14), (16, 28)]);
        assert!(
            devices.permitted(0, Mfn(13))
                && !devices.permitted(0, Mfn(14))
                && !devices.permitted(0, Mfn(15))
                && devices.permitted(0, Mfn(16))
        );
        assert_eq!(devices.count(0, Mfn(15)), Err(Errno::PERM));
        devices.withdraw(0, 0, u64::MAX).expect("unused");
        assert_eq!(ranges(&devices, 0), []);
    }

    #[test]
    fn a_full_table_says_so_and_changes_nothing() {
        let mut devices = DeviceFrames::new();
        for range in 0..MAX_RANGES as u64 {
            devices.permit(0, range * 10, range * 10 + 5).expect("room");
        }
        assert_eq!(devices.permit(0, 10_000, 10_001), Err(Errno::NOSPC));
        assert_eq!(devices.withdraw(0, 2, 3), Err(Errno::NOSPC));
        assert_eq!(ranges(&devices, 0).len(), MAX_RANGES);
        assert_eq!(devices.permit(0, 3, 12), Ok(()), "two become one");
        assert_eq!(devices.withdraw(0, 2, 3), Ok(()));
        assert_eq!(devices.withdraw(0, 6, 7), Err(Errno::NOSPC));
    }
}
