//! The shared info page: mapped once at a fixed address, read and written field by field through volatile or atomic accesses.

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicU64};

use abi::layout::PAGE_SIZE;
use abi::mmu::{UVMF_INVLPG, pte};
use abi::shared_info::{SharedInfo, VcpuInfo};

use crate::hypercall;

#[repr(C, align(4096))]
struct Page(UnsafeCell<[u8; PAGE_SIZE]>);

// SAFETY: the page is only used through raw pointers, volatile and atomic accesses; the hypervisor is the other party anyway.
unsafe impl Sync for Page {}

static PAGE: Page = Page(UnsafeCell::new([0; PAGE_SIZE]));

/// Puts the shared info frame in the place of [`PAGE`]. The frame that was there is lost to the kernel.
pub(crate) fn map(machine_address: u64) {
    let entry = machine_address & pte::ADDR_MASK | pte::PRESENT | pte::RW | pte::ACCESSED | pte::DIRTY | pte::NX;
    // SAFETY: PAGE is a page of its own that nothing has used yet, and what replaces it is used as shared info only.
    let result = unsafe { hypercall::update_va_mapping(PAGE.0.get() as u64, entry, UVMF_INVLPG) };
    // Without its shared info page the domain cannot even print.
    if result.is_err() {
        crate::shutdown::crash();
    }
}

/// The page.
pub(crate) fn info() -> *mut SharedInfo {
    PAGE.0.get().cast()
}

/// The part of vCPU 0.
pub(crate) fn vcpu() -> *mut VcpuInfo {
    info().cast()
}

/// A byte of the shared info, as an atomic.
pub(crate) fn atomic_u8(field: *mut u8) -> &'static AtomicU8 {
    debug_assert!(within_page(field.addr()));
    // SAFETY: callers pass pointers to fields of the static shared page (asserted), which all parties access atomically.
    unsafe { AtomicU8::from_ptr(field) }
}

/// An aligned word of the shared info, as an atomic.
pub(crate) fn atomic_u64(field: *mut u64) -> &'static AtomicU64 {
    debug_assert!(within_page(field.addr()) && field.is_aligned());
    // SAFETY: as above; the fields are 8-aligned by their layout, which the ABI crate asserts.
    unsafe { AtomicU64::from_ptr(field) }
}

/// Reads a field that the hypervisor may be writing.
pub(crate) fn read<T: Copy>(field: *const T) -> T {
    debug_assert!(within_page(field.addr()) && field.is_aligned());
    // SAFETY: the pointer lies in the static shared page (asserted), whose fields are plain integers.
    unsafe { ptr::read_volatile(field) }
}

fn within_page(address: usize) -> bool {
    let start = PAGE.0.get().addr();
    (start..start + PAGE_SIZE).contains(&address)
}
