//! A range of virtual addresses mapped onto consecutive pages, and the tables for it.
//!
//! A *table index* is the virtual address, cut to 48 bits, divided by what a table of that level maps: 2 MiB, 1 GiB, 512 GiB.

use crate::pages::{PAGE, Pages};

/// A range of virtual addresses mapped onto consecutive pages, and the tables for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub pages: Run,
    /// Levels 1, 2, 3.
    tables: [Run; 3],
}

impl Mapping {
    pub fn new(va: u64, pages: Pages) -> Self {
        let first_page = cut(va) / PAGE;
        let last_page = first_page + pages.count.saturating_sub(1);
        let tables = [1, 2, 3].map(|level| {
            let bits = shift(level) - shift(0);
            let (first, last) = (first_page >> bits, last_page >> bits);
            Run { index: first, count: last - first + 1, pfn: 0 }
        });
        Self { pages: Run { index: first_page, count: pages.count, pfn: pages.first }, tables }
    }

    /// Gives the tables their pages, from level 3 down.
    pub fn place(&mut self, first: u64) {
        let mut pfn = first;
        for run in self.tables.iter_mut().rev() {
            run.pfn = pfn;
            pfn = pfn.saturating_add(run.count);
        }
    }

    /// Drops the tables that `other`, which maps other addresses, has already: at each level one at most, the last of the lower mapping
    /// and the first of the higher one.
    pub fn leave_to(&mut self, other: &Self) {
        let below = self.pages.index < other.pages.index;
        for (mine, theirs) in self.tables.iter_mut().zip(&other.tables) {
            if below && mine.index + mine.count > theirs.index {
                mine.count -= 1;
            } else if !below && mine.index < theirs.index + theirs.count {
                mine.index += 1;
                mine.count -= 1;
            }
        }
    }

    pub fn table_count(&self) -> u64 {
        self.tables.iter().map(|run| run.count).sum()
    }

    pub fn run(&self, level: u8) -> Option<&Run> {
        self.tables.get(usize::from(level).checked_sub(1)?)
    }

    /// Level, index and page of the table number `position`, from level 3 down.
    pub fn table(&self, mut position: u64) -> Option<(u8, u64, u64)> {
        for level in [3, 2, 1] {
            let run = self.run(level)?;
            if position < run.count {
                return Some((level, run.index + position, run.pfn + position));
            }
            position -= run.count;
        }
        None
    }
}

/// Consecutive indices in consecutive pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    index: u64,
    count: u64,
    pfn: u64,
}

impl Run {
    pub fn of_index(&self, index: u64) -> Option<u64> {
        let position = index.wrapping_sub(self.index);
        (position < self.count).then(|| self.pfn + position)
    }
}

/// Bits of a virtual address below those that select a table of `level` (or, for 0, a page).
pub(crate) fn shift(level: u8) -> u32 {
    12 + 9 * u32::from(level)
}

/// A canonical address without the repetitions of bit 47.
fn cut(va: u64) -> u64 {
    va & 0x0000_ffff_ffff_ffff
}
