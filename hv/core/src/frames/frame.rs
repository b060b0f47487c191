//! What is known of one machine frame, in 32 bytes: who owns it, who refers to it, as what it is used.
//!
//! Two words carry the isolation. The *holder* word has the owner and the number of references: whoever can reach a frame (a page-table
//! entry, a vCPU's page-table base, a pin) holds one, and a frame is free only when none is left. The *usage* word has the type and how
//! many hold it as that type: the type changes only at count zero, so a frame is never writable by a guest and a page table at once.
//!
//! Every writer holds the hypervisor's lock, so plain loads and stores suffice; the words are atomic because the table is shared.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::ids::DomId;

/// As what a frame is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum PageType {
    /// Nothing that matters to isolation.
    None = 0,
    /// A page table whose entries map pages.
    L1 = 1,
    /// A page table whose entries name L1 tables.
    L2 = 2,
    /// A page table whose entries name L2 tables.
    L3 = 3,
    /// A top-level table.
    L4 = 4,
    /// Part of a descriptor table.
    Descriptor = 5,
    /// Mapped writable by a guest.
    Writable = 7,
}

impl PageType {
    /// The type of a page table by level, 1 to 4.
    pub const fn table(level: u8) -> Option<PageType> {
        match level {
            1 => Some(PageType::L1),
            2 => Some(PageType::L2),
            3 => Some(PageType::L3),
            4 => Some(PageType::L4),
            _ => None,
        }
    }

    /// The level of a page table, 1 to 4.
    pub const fn level(self) -> Option<u8> {
        match self {
            PageType::L1 | PageType::L2 | PageType::L3 | PageType::L4 => Some(self as u8),
            _ => None,
        }
    }

    /// What the entries of this table name, if they name tables.
    pub const fn below(self) -> Option<PageType> {
        match self {
            PageType::L2 => Some(PageType::L1),
            PageType::L3 => Some(PageType::L2),
            PageType::L4 => Some(PageType::L3),
            _ => None,
        }
    }
}

/// Whose a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// No RAM.
    Absent,
    /// In the allocator.
    Free,
    /// The hypervisor: code, tables, objects.
    Hypervisor,
    /// A domain.
    Domain(DomId),
}

const FREE: u16 = 0xfffe;
const HYPERVISOR: u16 = 0xffff;

impl Owner {
    const fn encode(self) -> u16 {
        match self {
            Owner::Absent => 0,
            Owner::Free => FREE,
            Owner::Hypervisor => HYPERVISOR,
            Owner::Domain(id) => id.wrapping_add(1),
        }
    }

    const fn decode(code: u16) -> Owner {
        match code {
            0 => Owner::Absent,
            FREE => Owner::Free,
            HYPERVISOR => Owner::Hypervisor,
            code => Owner::Domain(code - 1),
        }
    }
}

/// A reference or a type could not be had because its counter is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Saturated;

/// Why a reference was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefError {
    /// The frame is not that domain's.
    NotOwned,
    /// Its counter is full.
    Saturated,
}

const OWNER_SHIFT: u32 = 48;
/// The owner's own reference: from allocation until it gives the frame back.
const ALLOCATED: u64 = 1 << 47;
/// The hypervisor's frame, shared with a domain: owned by it, but on no list and not part of its memory.
const SHARED: u64 = 1 << 46;
const REFS: u64 = (1 << 40) - 1;

/// The usage word, taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Usage(u64);

const COUNT: u64 = u32::MAX as u64;
const PROGRESS_SHIFT: u32 = 32;
const PROGRESS: u64 = 0x3ff << PROGRESS_SHIFT;
const ORDER_SHIFT: u32 = 42;
const ORDER: u64 = 0x1f << ORDER_SHIFT;
const TYPE_SHIFT: u32 = 56;
const TYPE: u64 = 7 << TYPE_SHIFT;
const PINNED: u64 = 1 << 60;
const VALIDATED: u64 = 1 << 61;
const PARTIAL: u64 = 1 << 62;
const QUEUED: u64 = 1 << 63;

impl Usage {
    /// How many hold the frame as its type.
    #[inline]
    pub const fn count(self) -> u32 {
        (self.0 & COUNT) as u32
    }

    /// The type; it means something while the count is above zero or the frame is partial.
    #[inline]
    pub const fn kind(self) -> PageType {
        match (self.0 & TYPE) >> TYPE_SHIFT {
            1 => PageType::L1,
            2 => PageType::L2,
            3 => PageType::L3,
            4 => PageType::L4,
            5 => PageType::Descriptor,
            7 => PageType::Writable,
            _ => PageType::None,
        }
    }

    /// True if someone holds the frame as `kind`.
    #[inline]
    pub const fn is(self, kind: PageType) -> bool {
        self.0 & TYPE == (kind as u64) << TYPE_SHIFT && self.0 & COUNT != 0
    }

    /// A guest asked for it to stay a page table: one of the counts and one of the references are the pin's.
    pub const fn pinned(self) -> bool {
        self.0 & PINNED != 0
    }

    /// Every entry of the table was checked and holds its references.
    pub const fn validated(self) -> bool {
        self.0 & VALIDATED != 0
    }

    /// A table at count zero whose first [`Usage::progress`] entries hold references still.
    pub const fn partial(self) -> bool {
        self.0 & PARTIAL != 0
    }

    /// On its owner's list of tables to take apart.
    pub const fn queued(self) -> bool {
        self.0 & QUEUED != 0
    }

    /// How many entries of a partial table hold references, 0 to 512.
    pub const fn progress(self) -> usize {
        ((self.0 & PROGRESS) >> PROGRESS_SHIFT) as usize
    }

    pub(super) const fn order(self) -> Option<u32> {
        match (self.0 & ORDER) >> ORDER_SHIFT {
            0 => None,
            order => Some(order as u32 - 1),
        }
    }

    pub(super) const fn block(order: u32) -> Usage {
        Usage((order as u64 + 1) << ORDER_SHIFT)
    }

    /// A frame of no type.
    pub const UNUSED: Usage = Usage(0);

    /// One holder more.
    #[inline]
    pub const fn more(self) -> Result<Usage, Saturated> {
        if self.0 & COUNT == COUNT { Err(Saturated) } else { Ok(Usage(self.0 + 1)) }
    }

    /// One holder less; the count must not be zero.
    #[inline]
    pub const fn less(self) -> Usage {
        assert!(self.0 & COUNT != 0, "type count below zero");
        Usage(self.0 - 1)
    }

    /// The same flags with another type and count.
    pub const fn with(self, kind: PageType, count: u32) -> Usage {
        Usage(self.0 & !(TYPE | COUNT) | (kind as u64) << TYPE_SHIFT | count as u64)
    }

    pub(crate) const fn set_pinned(self, set: bool) -> Usage {
        self.flag(PINNED, set)
    }

    pub(crate) const fn set_validated(self, set: bool) -> Usage {
        self.flag(VALIDATED, set)
    }

    pub(crate) const fn set_queued(self, set: bool) -> Usage {
        self.flag(QUEUED, set)
    }

    /// Partial with that many entries, or whole.
    pub(crate) const fn set_partial(self, progress: Option<usize>) -> Usage {
        match progress {
            None => Usage(self.0 & !(PROGRESS | PARTIAL)),
            Some(entries) => Usage(self.0 & !PROGRESS | PARTIAL | (entries as u64) << PROGRESS_SHIFT),
        }
    }

    const fn flag(self, bit: u64, set: bool) -> Usage {
        Usage(if set { self.0 | bit } else { self.0 & !bit })
    }
}

impl core::fmt::Debug for Usage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Usage")
            .field("kind", &self.kind())
            .field("count", &self.count())
            .field("pinned", &self.pinned())
            .field("validated", &self.validated())
            .field("partial", &self.partial().then(|| self.progress()))
            .field("queued", &self.queued())
            .finish()
    }
}

/// One machine frame. All zero is an address without RAM.
#[derive(Debug, Default)]
#[repr(C, align(32))]
pub struct Frame {
    holder: AtomicU64,
    usage: AtomicU64,
    /// Next on the list that the frame is on (its owner's, or a list of free blocks); 0 is none.
    pub(super) next: AtomicU32,
    /// Previous on that list.
    pub(super) prev: AtomicU32,
    /// When stale translations to the frame may have come into being ([`super::FlushClock`]).
    stamp: AtomicU32,
    /// Next on the owner's list of tables to take apart.
    pub(super) work: AtomicU32,
}

const _: () = assert!(size_of::<Frame>() == 32);

impl Frame {
    /// An address without RAM.
    pub const fn absent() -> Frame {
        Frame {
            holder: AtomicU64::new(0),
            usage: AtomicU64::new(0),
            next: AtomicU32::new(0),
            prev: AtomicU32::new(0),
            stamp: AtomicU32::new(0),
            work: AtomicU32::new(0),
        }
    }

    /// Whose it is.
    #[inline]
    pub fn owner(&self) -> Owner {
        Owner::decode((self.holder.load(Relaxed) >> OWNER_SHIFT) as u16)
    }

    /// True if it belongs to that domain.
    #[inline]
    pub fn belongs_to(&self, domain: DomId) -> bool {
        self.holder.load(Relaxed) >> OWNER_SHIFT == u64::from(Owner::Domain(domain).encode())
    }

    /// How many references there are.
    pub fn refs(&self) -> u64 {
        self.holder.load(Relaxed) & REFS
    }

    /// True while its owner has not given it back.
    pub fn allocated(&self) -> bool {
        self.holder.load(Relaxed) & ALLOCATED != 0
    }

    /// True if it is the hypervisor's, shared with its owner.
    pub fn shared(&self) -> bool {
        self.holder.load(Relaxed) & SHARED != 0
    }

    /// As what it is used.
    #[inline]
    pub fn usage(&self) -> Usage {
        Usage(self.usage.load(Relaxed))
    }

    /// Changes how it is used.
    #[inline]
    pub(crate) fn set_usage(&self, usage: Usage) {
        self.usage.store(usage.0, Relaxed);
    }

    /// Takes a reference to a frame of `owner`.
    ///
    /// # Errors
    /// It is another's, or has all references that can be counted.
    #[inline]
    pub fn take_ref(&self, owner: DomId) -> Result<(), RefError> {
        let holder = self.holder.load(Relaxed);
        if holder >> OWNER_SHIFT != u64::from(Owner::Domain(owner).encode()) {
            return Err(RefError::NotOwned);
        }
        if holder & REFS == REFS {
            return Err(RefError::Saturated);
        }
        self.holder.store(holder + 1, Relaxed);
        Ok(())
    }

    /// One more reference to a frame that has one: the work on it holds it.
    pub(crate) fn hold(&self) {
        let holder = self.holder.load(Relaxed);
        assert!(holder & REFS != 0 && holder & REFS != REFS, "only a frame in use can be held");
        self.holder.store(holder + 1, Relaxed);
    }

    /// Drops a reference; true if it was the last.
    #[inline]
    pub(super) fn drop_ref(&self) -> bool {
        let holder = self.holder.load(Relaxed);
        assert!(holder & REFS != 0, "reference count below zero");
        self.holder.store(holder - 1, Relaxed);
        (holder - 1) & REFS == 0
    }

    pub(super) fn give_to(&self, owner: Owner, refs: u64, allocated: bool, shared: bool) {
        let flags = if allocated { ALLOCATED } else { 0 } | if shared { SHARED } else { 0 };
        self.holder.store(u64::from(owner.encode()) << OWNER_SHIFT | flags | refs, Relaxed);
    }

    pub(super) fn set_allocated(&self) {
        self.holder.store(self.holder.load(Relaxed) | ALLOCATED, Relaxed);
    }

    pub(super) fn clear_allocated(&self) {
        self.holder.store(self.holder.load(Relaxed) & !ALLOCATED, Relaxed);
    }

    /// Time of the last loss that may have left stale translations; 0 is never.
    #[inline]
    pub(crate) fn stamp(&self) -> u32 {
        self.stamp.load(Relaxed)
    }

    #[inline]
    pub(crate) fn set_stamp(&self, stamp: u32) {
        self.stamp.store(stamp, Relaxed);
    }

    /// For tests of full counters.
    #[cfg(any(test, feature = "fake"))]
    pub fn set_refs_for_test(&self, refs: u64) {
        self.holder.store(self.holder.load(Relaxed) & !REFS | refs & REFS, Relaxed);
    }

    /// For tests of full counters.
    #[cfg(any(test, feature = "fake"))]
    pub fn set_type_count_for_test(&self, count: u32) {
        self.set_usage(self.usage().with(self.usage().kind(), count));
    }
}

/// The largest number of references that is counted.
pub const MAX_REFS: u64 = REFS;
