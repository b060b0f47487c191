//! Where RAM lies, as a short list: so that a range of addresses can be told from memory without a look at each frame.

/// Runs that are kept. Firmware tells of a few dozen; what does not fit makes the last one longer, which errs on the safe side.
const RUNS: usize = 64;

/// Runs of frames that are RAM, first frame and the one behind the last.
pub(super) struct RamMap {
    runs: [(u64, u64); RUNS],
    count: usize,
}

impl RamMap {
    pub(super) const fn new() -> Self {
        RamMap { runs: [(0, 0); RUNS], count: 0 }
    }

    /// Tells of RAM.
    pub(super) fn add(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        if let Some(run) = self.runs[..self.count].iter_mut().find(|run| start <= run.1 && run.0 <= end) {
            *run = (run.0.min(start), run.1.max(end));
        } else if self.count < RUNS {
            self.runs[self.count] = (start, end);
            self.count += 1;
        } else {
            let last = &mut self.runs[RUNS - 1];
            *last = (last.0.min(start), last.1.max(end));
        }
    }

    /// True if any frame from `start` up to but without `end` may be RAM.
    pub(super) fn touches(&self, start: u64, end: u64) -> bool {
        self.runs[..self.count].iter().any(|run| start < run.1 && run.0 < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_memory_and_what_lies_between_is_not() {
        let mut map = RamMap::new();
        map.add(0, 0x100);
        map.add(0x100, 0x400);
        map.add(0x1000, 0x2000);
        map.add(7, 7);
        assert_eq!(map.count, 2, "neighbours are one run");
        assert!(map.touches(0x3ff, 0x400) && map.touches(0, 1) && map.touches(0x300, 0x5000) && map.touches(0xfff, 0x1001));
        assert!(!map.touches(0x400, 0x1000) && !map.touches(0x2000, u64::MAX) && !map.touches(0x500, 0x500));
    }

    #[test]
    fn too_many_runs_make_more_memory_and_never_less() {
        let mut map = RamMap::new();
        for run in 0..2 * RUNS as u64 {
            map.add(run * 16, run * 16 + 4);
        }
        assert!((0..2 * RUNS as u64).all(|run| map.touches(run * 16 + 3, run * 16 + 4)));
        assert!(!map.touches(4, 16));
    }
}
