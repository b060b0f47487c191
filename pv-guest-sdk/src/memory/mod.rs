//! Memory: where things lie, which frames are free, page tables, and a window for frames that are not our own.
//!
//! Addresses: frame `pfn` of this domain lies at `LINEAR_BASE + pfn * 4096` from the start (as far as the builder mapped it) or
//! once it is allocated. Page tables are found there too, read-only. Everything else is mapped in the window area.

mod address;
mod contiguous;
mod frames;
mod tables;
mod window;

pub use address::{LINEAR_BASE, LINEAR_FRAMES, mfn_to_pfn, pfn_to_mfn, pfn_to_virt, set_mfn, virt_to_mfn, virt_to_pfn};
pub use contiguous::{Contiguous, MAX_CONTIGUOUS, contiguous};
#[cfg(feature = "alloc")]
pub(crate) use frames::alloc_dirty_pages;
pub use frames::{alloc_contiguous, alloc_page, alloc_pages, free_page, free_pages, used_frames};
pub use tables::{lookup, map, protect_read_only, unmap, virt_to_pte_machine};
pub use window::{WINDOW_BASE, WINDOW_SIZE, Window, map_device, map_foreign, map_frames, reserve};

use crate::BootInfo;

/// Learns what the builder has laid out.
pub(crate) fn init(info: &'static BootInfo) {
    address::init(info);
    frames::init(info);
    tables::init(info);
    guard_stack();
}

/// Unmaps the page below the stack, so that an overflow is a fault and not a corruption.
fn guard_stack() {
    unsafe extern "C" {
        static __stack_guard: u8;
    }
    // SAFETY: the linker script keeps this page free for the purpose; only its address is used.
    let result = unsafe { crate::hypercall::update_va_mapping((&raw const __stack_guard) as u64, 0, abi::mmu::UVMF_INVLPG) };
    debug_assert!(result.is_ok());
}
