//! When each CPU last forgot its translations: so that a frame changes hands or type without a flush when none is needed.
//!
//! An entry of a page table can go without a flush: the guest flushes when it likes. A stale translation that stays behind is harmless
//! while the frame keeps its type and owner. So a frame is stamped with the time when its last holder of a type, or its last
//! reference, went away; before it gets another type or owner, the CPUs that have not flushed since are flushed.
//!
//! Time is a counter of flushes. When it wraps (after 2^32 flushes) all CPUs count as not flushed: old stamps then cost needless flushes, never
//! a missing one.

use crate::ids::{CpuId, CpuMask, MAX_CPUS};

/// The clock of flushes.
pub struct FlushClock {
    now: u32,
    flushed: [u32; MAX_CPUS],
    online: CpuMask,
}

impl FlushClock {
    pub(super) const fn new() -> Self {
        FlushClock { now: 1, flushed: [1; MAX_CPUS], online: CpuMask(1) }
    }

    /// The CPUs that run guests (only CPU 0 until this is called).
    pub fn set_online(&mut self, cpus: CpuMask) {
        self.online = cpus;
    }

    /// The CPUs that run guests.
    pub fn online(&self) -> CpuMask {
        self.online
    }

    /// The present time, for a stamp.
    #[inline]
    pub fn now(&self) -> u32 {
        self.now
    }

    /// The CPUs that may hold a translation from before `stamp`.
    #[inline]
    pub fn stale(&self, stamp: u32) -> CpuMask {
        if stamp == 0 {
            return CpuMask(0);
        }
        let mut mask = 0;
        let mut rest = self.online.0;
        while rest != 0 {
            let cpu = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            if self.flushed[cpu % MAX_CPUS] <= stamp {
                mask |= 1 << cpu;
            }
        }
        CpuMask(mask)
    }

    /// The CPUs in `cpus` hold no translation of a guest any more.
    pub fn flushed(&mut self, cpus: CpuMask) {
        self.tick();
        let mut rest = cpus.0;
        while rest != 0 {
            self.flushed[rest.trailing_zeros() as usize % MAX_CPUS] = self.now;
            rest &= rest - 1;
        }
    }

    /// The same of one CPU.
    #[inline]
    pub fn flushed_one(&mut self, cpu: CpuId) {
        self.tick();
        self.flushed[cpu % MAX_CPUS] = self.now;
    }

    #[cold]
    fn begin_again(&mut self) {
        self.flushed = [1; MAX_CPUS];
        self.now = 1;
    }

    #[inline]
    fn tick(&mut self) {
        if self.now == u32::MAX {
            self.begin_again();
        }
        self.now += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_stamped_after_the_last_flush_is_stale() {
        let mut clock = FlushClock::new();
        clock.set_online(CpuMask(3));
        assert_eq!(clock.stale(0), CpuMask(0), "never used");
        let stamp = clock.now();
        assert_eq!(clock.stale(stamp), CpuMask(3));
        clock.flushed_one(1);
        assert_eq!(clock.stale(stamp), CpuMask(1));
        clock.flushed(CpuMask(1));
        assert_eq!(clock.stale(stamp), CpuMask(0));
        assert_eq!(clock.stale(clock.now()), CpuMask(3) /* neither since */);
    }

    #[test]
    fn wrapping_forgets_flushes_and_never_invents_one() {
        let mut clock = FlushClock::new();
        clock.now = u32::MAX;
        clock.flushed = [u32::MAX; MAX_CPUS];
        let stamp = clock.now();
        assert_eq!(clock.stale(stamp), CpuMask(1));
        clock.set_online(CpuMask(3));
        clock.flushed_one(0);
        assert_eq!(clock.stale(stamp).0 & 2, 2, "CPU 1 has not flushed");
        let young = clock.now();
        assert_eq!(clock.stale(young), CpuMask(3));
    }
}
