//! The address space: which part is the hypervisor's (`arch-x86/xen-x86_64.h`), and page sizes.

/// log2 of the page size.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;
/// Entries in a page table.
pub const ENTRIES: usize = 512;

/// First address of the hypervisor's hole.
pub const HYPERVISOR_VIRT_START: u64 = 0xffff_8000_0000_0000;
/// First address behind it.
pub const HYPERVISOR_VIRT_END: u64 = 0xffff_8800_0000_0000;
/// First address of the machine-to-physical table, which guests may read: a `u64` for each frame.
pub const MACH2PHYS_VIRT_START: u64 = 0xffff_8000_0000_0000;
/// First address behind it.
pub const MACH2PHYS_VIRT_END: u64 = 0xffff_8040_0000_0000;
/// How many frames it has room for.
pub const MACH2PHYS_NR_ENTRIES: u64 = (MACH2PHYS_VIRT_END - MACH2PHYS_VIRT_START) >> 3;

/// First slot of a top-level table that is the hypervisor's; it holds the machine-to-physical table.
pub const FIRST_HYPERVISOR_SLOT: usize = 256;
/// Last one.
pub const LAST_HYPERVISOR_SLOT: usize = 271;
/// The slots of a top-level table that are the hypervisor's.
pub const HYPERVISOR_SLOTS: core::ops::RangeInclusive<usize> = FIRST_HYPERVISOR_SLOT..=LAST_HYPERVISOR_SLOT;

/// Whether an address is canonical with four-level paging.
pub const fn is_canonical(addr: u64) -> bool {
    ((addr as i64) << 16 >> 16) as u64 == addr
}

/// Machine-to-physical entry of a frame that belongs to no domain.
pub const INVALID_M2P_ENTRY: u64 = !0;

const _: () = assert!(HYPERVISOR_VIRT_START >> 39 & 511 == FIRST_HYPERVISOR_SLOT as u64);
const _: () = assert!((HYPERVISOR_VIRT_END - 1) >> 39 & 511 == LAST_HYPERVISOR_SLOT as u64);
