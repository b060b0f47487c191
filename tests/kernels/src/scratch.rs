//! Frames and entries to try things with: fresh pages of the guest's own, and its own tables found by walking them.

use pv_guest_sdk::abi::domid::SELF;
use pv_guest_sdk::abi::mmu::{MmuUpdate, UVMF_INVLPG, pte};
use pv_guest_sdk::hypercall::{self, Result};
use pv_guest_sdk::memory;

use crate::tables;

/// A present, writable entry of a leaf.
pub const PAGE: u64 = pte::PRESENT | pte::RW | pte::USER | pte::ACCESSED | pte::DIRTY | pte::NX;
/// A present, writable entry of an upper table.
pub const TABLE: u64 = pte::PRESENT | pte::RW | pte::USER | pte::ACCESSED | pte::DIRTY;

/// A page of ours: its address in the linear area, and its machine frame.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Where it is mapped.
    pub address: u64,
    /// The frame.
    pub mfn: u64,
}

impl Page {
    /// A fresh one, zeroed, mapped writable.
    pub fn new() -> Page {
        let (page, mfn) = tables::page();
        Page { address: page.as_ptr() as u64, mfn }
    }

    /// A fresh one, mapped read-only: fit to become a table.
    pub fn read_only() -> Page {
        let page = Page::new();
        page.protect().expect("a page of ours");
        page
    }

    /// Makes it read-only.
    ///
    /// # Errors
    /// What the hypervisor returns.
    pub fn protect(self) -> Result<()> {
        self.remap(self.mfn << 12 | PAGE & !pte::RW)
    }

    /// Makes it writable again.
    ///
    /// # Errors
    /// What the hypervisor returns: not while it is a table.
    pub fn unprotect(self) -> Result<()> {
        self.remap(self.mfn << 12 | PAGE)
    }

    /// Changes the entry that maps the page's address.
    ///
    /// # Errors
    /// What the hypervisor returns.
    pub fn remap(self, entry: u64) -> Result<()> {
        // SAFETY: nothing relies on the page but the check that owns it.
        unsafe { hypercall::update_va_mapping(self.address, entry, UVMF_INVLPG) }
    }

    /// Reads a word.
    pub fn read(self, index: usize) -> u64 {
        // SAFETY: the page is mapped; the index is taken modulo its size.
        unsafe { (self.address as *const u64).add(index % 512).read_volatile() }
    }

    /// Writes a word; the page must be writable.
    pub fn write(self, index: usize, value: u64) {
        // SAFETY: as above, and nothing else uses the page.
        unsafe { (self.address as *mut u64).add(index % 512).write_volatile(value) }
    }

    /// Machine address of one of its words.
    pub fn slot(self, index: u64) -> u64 {
        self.mfn << 12 | (index % 512) << 3
    }
}

impl Default for Page {
    fn default() -> Page {
        Page::new()
    }
}

/// An address of the window area with an L1 table, for whatever is mapped there: nothing relies on it.
pub fn address() -> u64 {
    let window = memory::reserve(1).expect("address space");
    let address = window.as_ptr() as u64;
    // The range is never given back, so that no later check finds what this one left.
    core::mem::forget(window);
    address
}

/// Machine address of the L1 entry of such an address.
pub fn leaf(address: u64) -> u64 {
    memory::virt_to_pte_machine(address).expect("an L1 table")
}

/// One `mmu_update` of our own tables and frames.
///
/// # Errors
/// What the hypervisor returns.
pub fn update(ptr: u64, val: u64) -> Result<()> {
    update_for(ptr, val, SELF)
}

/// One `mmu_update` with frames of another domain.
///
/// # Errors
/// What the hypervisor returns.
pub fn update_for(ptr: u64, val: u64, domid: u16) -> Result<()> {
    // SAFETY: the checks change entries that nothing relies on, or expect to be refused.
    unsafe { hypercall::mmu_update(&[MmuUpdate { ptr, val }], domid) }
}

/// One `mmuext_op`.
///
/// # Errors
/// What the hypervisor returns.
pub fn ext(cmd: u32, arg1: u64, arg2: u64) -> Result<()> {
    // SAFETY: as above.
    unsafe { tables::ext(cmd, arg1, arg2) }
}

/// The machine addresses of the entries for `address`, from the top-level table down to the L1 table.
pub fn path(address: u64) -> [u64; 4] {
    let mut table = tables::kernel_root_mfn();
    [39, 30, 21, 12].map(|shift| {
        let index = address >> shift & 511;
        let slot = table << 12 | index << 3;
        table = (word(slot) & pte::ADDR_MASK) >> 12;
        slot
    })
}

/// Reads a word of one of our tables by its machine address.
pub fn word(machine: u64) -> u64 {
    let Some(pfn) = memory::mfn_to_pfn(machine >> 12) else { return 0 };
    // SAFETY: tables stay mapped in the linear area.
    unsafe { ((memory::pfn_to_virt(pfn) as u64 | machine & 0xff8) as *const u64).read_volatile() }
}
