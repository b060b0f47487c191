//! Large allocations of a privileged domain: frames borrowed from the hypervisor's free memory, mapped in the window area, and given back when
//! they are freed. So a control domain can be small and still unpack what is larger than itself.

use core::alloc::Layout;
use core::mem;
use core::ptr::{self, NonNull};

use abi::layout::PAGE_SIZE;
use abi::memory::{OP_DECREASE_RESERVATION, OP_INCREASE_RESERVATION, Reservation};

use crate::BootInfo;
use crate::hypercall;
use crate::memory::{self, WINDOW_BASE, WINDOW_SIZE, Window};

/// Bytes from which on an allocation is large.
pub(super) const LARGE: usize = 512 * 1024;

/// Frames are borrowed in extents of 2^9 at most, 2 MiB.
const MOST_ORDER: u32 = 9;
/// Pages mapped or given back in a call.
const BATCH: usize = 64;

/// Whether an allocation is one of these.
pub(super) fn is_borrowed(address: *const u8) -> bool {
    (address.addr() as u64).wrapping_sub(WINDOW_BASE) < WINDOW_SIZE
}

/// Zeroed memory, or null if it is not to be had.
pub(super) fn allocate(layout: Layout) -> *mut u8 {
    let pages = layout.size().div_ceil(PAGE_SIZE);
    let may = BootInfo::get().is_some_and(BootInfo::is_privileged) && layout.align() <= PAGE_SIZE;
    let Some(mut window) = may.then(|| memory::reserve(pages).ok()).flatten() else { return ptr::null_mut() };
    let filled = fill(&mut window);
    if filled < pages {
        // SAFETY: nobody knows these pages yet.
        unsafe { give_back(&mut window, filled) };
        return ptr::null_mut();
    }
    let start = window.as_ptr();
    // `release` makes the window anew.
    mem::forget(window);
    start
}

/// Gives memory back.
///
/// # Safety
/// It must come from [`allocate`] with the same layout, and nothing may use it any more.
pub(super) unsafe fn release(start: NonNull<u8>, layout: Layout) {
    let pages = layout.size().div_ceil(PAGE_SIZE);
    // SAFETY: `allocate` has forgotten this very window.
    let mut window = unsafe { Window::again(start, pages) };
    // SAFETY: the caller's obligation.
    unsafe { give_back(&mut window, pages) };
}

/// Borrows and maps as many pages as the window has; how many it became.
fn fill(window: &mut Window) -> usize {
    let (mut filled, mut order) = (0, MOST_ORDER);
    while filled < window.pages() {
        order = order.min((window.pages() - filled).ilog2());
        let Some(first) = borrow(order) else {
            match order.checked_sub(1) {
                Some(smaller) => order = smaller,
                None => break,
            }
            continue;
        };
        let pages = 1usize << order;
        for start in (0..pages).step_by(BATCH) {
            let count = BATCH.min(pages - start);
            let mfns: [u64; BATCH] = core::array::from_fn(|index| first + (start + index) as u64);
            // SAFETY: the frames are fresh, and nothing is mapped there yet.
            if unsafe { window.add(filled, &mfns[..count]) }.is_err() {
                // Out of memory for the hypervisor's books: what is not mapped is lost until the domain ends.
                return filled;
            }
            filled += count;
        }
    }
    filled
}

/// 2^`order` adjacent frames.
fn borrow(order: u32) -> Option<u64> {
    let mut mfn = 0u64;
    let mut request = Reservation {
        extent_start: (&raw mut mfn) as u64,
        nr_extents: 1,
        extent_order: order,
        domid: abi::domid::SELF,
        ..Default::default()
    };
    // SAFETY: the structure of the operation; its list has room for one extent. Nothing of ours is given away.
    let given = unsafe { hypercall::memory_op(OP_INCREASE_RESERVATION, &mut request) };
    (given == Ok(1)).then_some(mfn)
}

/// Unmaps the first `pages` pages of a window and gives their frames back.
///
/// # Safety
/// Nothing may use them any more.
unsafe fn give_back(window: &mut Window, pages: usize) {
    for start in (0..pages).step_by(BATCH) {
        let count = BATCH.min(pages - start);
        let entry = |index: usize| memory::lookup(window.page(start + index) as u64).unwrap_or(0);
        let mut mfns: [u64; BATCH] =
            core::array::from_fn(|index| if index < count { (entry(index) & abi::mmu::pte::ADDR_MASK) >> 12 } else { 0 });
        // SAFETY: the caller's obligation.
        if unsafe { window.unmap(start, count) }.is_err() {
            continue;
        }
        let mut request =
            Reservation { extent_start: mfns.as_mut_ptr() as u64, nr_extents: count as u64, domid: abi::domid::SELF, ..Default::default() };
        // SAFETY: the frames were borrowed by `fill` and are mapped nowhere any more. If the hypervisor keeps one, it is lost to us only.
        let _ = unsafe { hypercall::memory_op(OP_DECREASE_RESERVATION, &mut request) };
    }
}
