//! The bits of a page-table entry: which a guest may set, which the hypervisor sets, which can change without a new check.

use abi::layout::{FIRST_HYPERVISOR_SLOT, LAST_HYPERVISOR_SLOT};
use abi::mmu::pte;

use crate::frames::PageType;
use crate::ids::Mfn;

/// Bits a guest may set in a present entry of an L1 table. (G is accepted and taken out.)
pub const ALLOWED_L1: u64 = ALLOWED_UPPER | pte::GLOBAL;
/// Bits a guest may set in a present entry of a higher table: not PSE (XSA-148), not the cache attributes.
pub const ALLOWED_UPPER: u64 =
    pte::PRESENT | pte::RW | pte::USER | pte::ACCESSED | pte::DIRTY | pte::AVAIL | pte::AVAIL_HIGH | pte::NX | pte::ADDR_MASK;

/// Caching off, whatever the memory type registers say: entry 3 of the PAT that the hypervisor sets. Entries that name device memory have both
/// bits, no other entry of a guest has either.
pub const UNCACHED: u64 = pte::PCD | pte::PWT;

/// Bits that change nothing about what an L1 entry reaches or holds: an update of these alone needs no check. RW is not among them: it decides
/// the type reference (XSA-182).
pub const FREE_L1: u64 = pte::NX | pte::AVAIL_HIGH | pte::AVAIL | pte::DIRTY | pte::ACCESSED | pte::USER;
/// The same for higher tables, which hold the same references whether writable or not: no table can be reached through itself.
pub const FREE_UPPER: u64 = FREE_L1 | pte::RW;

const _: () = assert!((ALLOWED_L1 | FREE_L1) & UNCACHED == 0);
const _: () = assert!(FREE_L1 & !ALLOWED_L1 == 0 && FREE_UPPER & !ALLOWED_UPPER == 0);

/// The frame that an entry names.
#[inline]
pub const fn frame_of(entry: u64) -> Mfn {
    Mfn((entry & pte::ADDR_MASK) >> 12)
}

/// True if the processor would use the entry.
#[inline]
pub const fn present(entry: u64) -> bool {
    entry & pte::PRESENT != 0
}

/// True if a present L1 entry of a validated table names device memory.
#[inline]
pub const fn is_device(entry: u64) -> bool {
    entry & UNCACHED != 0
}

/// True if the entry lets the guest write.
#[inline]
pub const fn writable(entry: u64) -> bool {
    entry & pte::RW != 0
}

/// A present L1 entry as it is stored: reachable from ring 3, where guest kernels run; bit 52 tells which pages are the kernel's.
#[inline]
pub const fn adjust_l1(entry: u64) -> u64 {
    let entry = entry & !pte::GLOBAL;
    if entry & pte::USER != 0 { entry } else { entry | pte::USER | pte::GUEST_KERNEL }
}

/// A present entry of a higher table as it is stored.
#[inline]
pub const fn adjust_upper(entry: u64) -> u64 {
    entry | pte::USER
}

/// True for the slots of a top-level table that belong to the hypervisor.
#[inline]
pub const fn hypervisor_slot(table: PageType, index: usize) -> bool {
    matches!(table, PageType::L4) && index >= FIRST_HYPERVISOR_SLOT && index <= LAST_HYPERVISOR_SLOT
}
