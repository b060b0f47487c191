//! Page tables of a test's own: a second top-level table beside the kernel's, for user mode and for switching.

use core::ptr::NonNull;

use pv_guest_sdk::abi::layout::{ENTRIES, HYPERVISOR_SLOTS};
use pv_guest_sdk::abi::mmu::{self, MmuextOp};
use pv_guest_sdk::{BootInfo, hypercall, memory};

/// The kernel's top-level table, where the builder mapped it, read-only.
pub fn kernel_root() -> *const u64 {
    BootInfo::get().expect("the SDK has started").start_info().pt_base as *const u64
}

/// The machine frame of the kernel's top-level table.
pub fn kernel_root_mfn() -> u64 {
    memory::virt_to_mfn(kernel_root()).expect("a frame of ours")
}

/// A page of ours, and the machine frame behind it.
pub fn page() -> (NonNull<u8>, u64) {
    let page = memory::alloc_page().expect("a page");
    let mfn = memory::virt_to_mfn(page.as_ptr()).expect("a frame of ours");
    (page, mfn)
}

/// One `mmuext_op` with the arguments given.
///
/// # Errors
/// What the hypervisor returns.
///
/// # Safety
/// As for [`hypercall::mmuext_op`].
pub unsafe fn ext(cmd: u32, arg1: u64, arg2: u64) -> hypercall::Result<()> {
    let request = MmuextOp { cmd, arg1, arg2, ..Default::default() };
    // SAFETY: the caller's obligation.
    unsafe { hypercall::mmuext_op(&[request]) }
}

/// A second top-level table that maps what the kernel's does, pinned; returns its machine frame.
pub fn second_root() -> u64 {
    let (page, mfn) = page();
    for slot in (0..ENTRIES).filter(|slot| !HYPERVISOR_SLOTS.contains(slot)) {
        // SAFETY: both are whole pages of entries; the kernel's table is only read, the new page is nobody else's yet.
        unsafe {
            let entry = kernel_root().add(slot).read_volatile();
            page.cast::<u64>().add(slot).write_volatile(entry);
        }
    }
    // SAFETY: nothing writes to the page any more.
    unsafe { memory::protect_read_only(page.as_ptr()) }.expect("a page that can be protected");
    // SAFETY: pinning changes no mapping.
    unsafe { ext(mmu::EXT_PIN_L4_TABLE, mfn, 0) }.expect("a valid table");
    mfn
}
