//! The global allocator: talc, fed with frames as it needs them, and for what is large, frames borrowed and given back.

mod large;

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::layout::PAGE_SIZE;
use lock_api::{GuardNoSend, RawMutex};
use talc::TalcLock;
use talc::base::{Talc, binning::Binning};
use talc::source::Source;

use crate::{events, memory};

/// Pages taken at a time at least.
const STEP: usize = 32;
/// What talc needs besides the allocation itself, generously: its tables in the first heap, and alignment.
const OVERHEAD: usize = 16 * 1024;

#[global_allocator]
static HEAP: Heap = Heap(TalcLock::new(Frames { end: None }));

/// Small allocations lie in the linear area, large ones in the window area, if the domain may borrow frames.
struct Heap(TalcLock<MaskingLock, Frames>);

// SAFETY: each of the two allocators is one, and an allocation is freed by the one that its address tells.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= large::LARGE {
            let borrowed = large::allocate(layout);
            if !borrowed.is_null() {
                return borrowed;
            }
        }
        // SAFETY: the caller's obligation.
        let start = unsafe { self.0.alloc(layout) };
        if !start.is_null() {
            USED.fetch_add(layout.size(), Ordering::Relaxed);
        }
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        match NonNull::new(start).filter(|start| large::is_borrowed(start.as_ptr())) {
            // SAFETY: the address tells that it was borrowed; the rest is the caller's obligation.
            Some(start) => unsafe { large::release(start, layout) },
            None => {
                USED.fetch_sub(layout.size(), Ordering::Relaxed);
                // SAFETY: likewise, that it was not.
                unsafe { self.0.dealloc(start, layout) }
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's obligation.
        let start = unsafe { self.alloc(layout) };
        if !start.is_null() && !large::is_borrowed(start) {
            // SAFETY: fresh memory of that size. What is borrowed is zero already.
            unsafe { start.write_bytes(0, layout.size()) };
        }
        start
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !large::is_borrowed(start) && size < large::LARGE {
            // SAFETY: the caller's obligation.
            let new = unsafe { self.0.realloc(start, layout, size) };
            if !new.is_null() {
                // Both at once: the sum goes around and back.
                USED.fetch_add(size.wrapping_sub(layout.size()), Ordering::Relaxed);
            }
            return new;
        }
        // SAFETY: the caller has checked size and alignment together.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the caller's obligation; both allocations exist and have at least the bytes that are copied.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                new.copy_from_nonoverlapping(start, layout.size().min(size));
                self.dealloc(start, layout);
            }
            new
        }
    }
}

/// Pages that the heap has taken.
static PAGES: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);

/// Bytes that are allocated.
static USED: core::sync::atomic::AtomicUsize = core::sync::atomic::AtomicUsize::new(0);

/// Bytes that are allocated now, without those borrowed for what is large.
pub fn used() -> usize {
    USED.load(Ordering::Relaxed)
}

/// Bytes that the heap has taken from the frame allocator, in use or not.
pub fn size() -> usize {
    PAGES.load(Ordering::Relaxed) * PAGE_SIZE
}

/// The source of memory: frames, each piece joined to the one before if they touch.
#[derive(Debug)]
struct Frames {
    end: Option<core::ptr::NonNull<u8>>,
}

// SAFETY: the pointer is an address to compare and extend; the memory behind it belongs to the heap, which is locked.
unsafe impl Send for Frames {}

// SAFETY: acquires by `alloc_pages`, which uses no heap.
unsafe impl Source for Frames {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let bytes = layout.size().checked_add(layout.align()).and_then(|bytes| bytes.checked_add(OVERHEAD)).ok_or(())?;
        let pages = bytes.div_ceil(PAGE_SIZE).max(STEP);
        let start = memory::alloc_dirty_pages(pages).ok_or(())?;
        PAGES.fetch_add(pages, Ordering::Relaxed);
        // SAFETY: the pages are ours for ever and contiguous; the old end is what talc returned.
        unsafe {
            let end = start.add(pages * PAGE_SIZE);
            talc.source.end = match talc.source.end {
                Some(old) if old == start => Some(talc.extend(old, end.as_ptr())),
                _ => talc.claim(start.as_ptr(), pages * PAGE_SIZE),
            };
        }
        talc.source.end.map(|_| ()).ok_or(())
    }
}

/// A lock that masks upcalls while it is held, so that event handlers may allocate.
struct MaskingLock {
    locked: AtomicBool,
    was_masked: AtomicBool,
}

// SAFETY: `locked` gives exclusion; with one vCPU and upcalls masked it is never found locked but by a bug.
unsafe impl RawMutex for MaskingLock {
    const INIT: Self = MaskingLock { locked: AtomicBool::new(false), was_masked: AtomicBool::new(false) };
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        while !self.try_lock() {
            core::hint::spin_loop();
        }
    }

    fn try_lock(&self) -> bool {
        let was_masked = events::mask_upcalls();
        if self.locked.swap(true, Ordering::Acquire) {
            if !was_masked {
                events::unmask_upcalls();
            }
            return false;
        }
        self.was_masked.store(was_masked, Ordering::Relaxed);
        true
    }

    unsafe fn unlock(&self) {
        let was_masked = self.was_masked.load(Ordering::Relaxed);
        self.locked.store(false, Ordering::Release);
        if !was_masked {
            events::unmask_upcalls();
        }
    }
}
