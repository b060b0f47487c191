//! The first page tables of a domain. They map two ranges of virtual addresses, the initial mapping and (if INIT_P2M asks for it) the frame
//! list, each onto consecutive PFNs. So the tables of a level are at most two runs of consecutive indices in consecutive pages, and
//! every entry can be computed by itself: whoever writes them may do so in pieces of any size, and needs no memory of his own.

use abi::mmu::pte;

use crate::mapping::{Mapping, shift};
use crate::pages::Pages;

/// Entries of a table.
pub const ENTRIES: u16 = 512;

/// A table among those of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// 1 to 4; level 4 is what CR3 points to.
    pub level: u8,
    /// Table index, see [`Mapping`].
    index: u64,
    /// The page it lies in.
    pub pfn: u64,
}

impl Table {
    /// The first virtual address that the table translates, canonical.
    pub fn va(&self) -> u64 {
        let va = self.index << shift(self.level);
        // Bit 47 is repeated up to bit 63.
        (((va << 16) as i64) >> 16) as u64
    }
}

/// What an entry of a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing: all bits zero.
    Absent,
    /// The table of the next lower level in page `pfn`.
    Table {
        /// Its page.
        pfn: u64,
    },
    /// The page `pfn` itself (level 1).
    Page {
        /// The page.
        pfn: u64,
        /// False for pages that hold page tables.
        writable: bool,
    },
}

impl Entry {
    /// The entry's flag bits: present, accessed and writable as far as it may be; tables also dirty and user, as Xen's toolstack does.
    pub fn flags(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Table { .. } => pte::PRESENT | pte::RW | pte::USER | pte::ACCESSED | pte::DIRTY,
            Self::Page { writable: true, .. } => pte::PRESENT | pte::RW | pte::ACCESSED,
            Self::Page { writable: false, .. } => pte::PRESENT | pte::ACCESSED,
        }
    }

    /// The page that the entry points to.
    pub fn pfn(&self) -> Option<u64> {
        match *self {
            Self::Absent => None,
            Self::Table { pfn } | Self::Page { pfn, .. } => Some(pfn),
        }
    }
}

/// All tables of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tables {
    initial: Mapping,
    list: Option<Mapping>,
    root_pfn: u64,
}

impl Tables {
    /// Tables that map `pages` at `va`; `last` is their last virtual address. The tables themselves lie from `first_table` on: level 4,
    /// then 3, 2, 1.
    pub fn new(va: u64, pages: Pages, first_table: u64) -> Self {
        let mut initial = Mapping::new(va, pages);
        initial.place(first_table.saturating_add(1));
        Self { initial, list: None, root_pfn: first_table }
    }

    /// How many tables `Tables::new` would need, without the level 4 table that is always there.
    pub fn count_below_root(va: u64, pages: Pages) -> u64 {
        Mapping::new(va, pages).table_count()
    }

    /// Adds the frame list `pages` at `va`, outside the initial mapping; its own tables follow its last page.
    pub fn add_list(&mut self, va: u64, pages: Pages) {
        let mut list = Mapping::new(va, pages);
        list.leave_to(&self.initial);
        list.place(pages.end());
        self.list = Some(list);
    }

    /// Tables of the initial mapping, the level 4 table among them.
    pub fn initial_tables(&self) -> Pages {
        Pages { first: self.root_pfn, count: self.initial.table_count() + 1 }
    }

    /// How many tables only serve the frame list.
    pub fn list_tables(&self) -> u64 {
        self.list.map_or(0, |list| list.table_count())
    }

    /// The table number `position`: level 4, then those of the initial mapping from level 3 down, then those of the list.
    pub fn get(&self, position: u64) -> Option<Table> {
        let Some(position) = position.checked_sub(1) else {
            return Some(Table { level: 4, index: 0, pfn: self.root_pfn });
        };
        let (level, index, pfn) = self.initial.table(position).or_else(|| {
            let position = position.checked_sub(self.initial.table_count())?;
            self.list?.table(position)
        })?;
        Some(Table { level, index, pfn })
    }

    /// What entry `slot` of `table` holds.
    pub fn entry(&self, table: &Table, slot: u16) -> Entry {
        let below = table.index * u64::from(ENTRIES) + u64::from(slot);
        let find = |lookup: fn(&Mapping, u8, u64) -> Option<u64>| {
            lookup(&self.initial, table.level, below).or_else(|| lookup(self.list.as_ref()?, table.level, below))
        };
        if table.level == 1 {
            let page = |pfn| Entry::Page { pfn, writable: !self.initial_tables().contains(pfn) };
            find(|mapping, _, page| mapping.pages.of_index(page)).map_or(Entry::Absent, page)
        } else {
            let lookup = |mapping: &Mapping, level: u8, index| mapping.run(level - 1)?.of_index(index);
            find(lookup).map_or(Entry::Absent, |pfn| Entry::Table { pfn })
        }
    }
}
