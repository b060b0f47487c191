//! The window area: address space for frames that are not in the linear area, handed out and taken back in ranges of pages.

use core::ptr::NonNull;

use abi::Errno;
use abi::layout::PAGE_SIZE;
use abi::mmu::pte;

use super::tables;
use crate::hypercall::Result;
use crate::sync::IrqMutex;

/// First address of the area: the first slot behind the hypervisor's.
pub const WINDOW_BASE: u64 = 0xffff_8800_0000_0000;
/// Its bytes: one slot of the top-level table.
pub const WINDOW_SIZE: u64 = 1 << 39;

/// Bits of every entry in the area.
const PAGE: u64 = pte::PRESENT | pte::USER | pte::ACCESSED | pte::NX;

/// Ranges that can be free at a time, besides the rest of the area; more fragmentation than that loses address space, not memory.
const MAX_HOLES: usize = 256;

#[derive(Clone, Copy)]
struct Range {
    start: u64,
    pages: u64,
}

struct Space {
    next: u64,
    holes: [Range; MAX_HOLES],
    count: usize,
}

static SPACE: IrqMutex<Space> = IrqMutex::new(Space { next: WINDOW_BASE, holes: [Range { start: 0, pages: 0 }; MAX_HOLES], count: 0 });

impl Space {
    fn take(&mut self, pages: u64) -> Option<u64> {
        if let Some(index) = self.holes[..self.count].iter().position(|hole| hole.pages >= pages) {
            let hole = &mut self.holes[index];
            let start = hole.start;
            hole.start += pages * PAGE_SIZE as u64;
            hole.pages -= pages;
            if hole.pages == 0 {
                self.count -= 1;
                self.holes[index] = self.holes[self.count];
            }
            return Some(start);
        }
        let bytes = pages.checked_mul(PAGE_SIZE as u64)?;
        let start = self.next;
        self.next = start.checked_add(bytes).filter(|&end| end <= WINDOW_BASE + WINDOW_SIZE)?;
        Some(start)
    }

    fn give(&mut self, mut range: Range) {
        // Merging with both neighbours keeps the list short.
        while let Some(index) = self.holes[..self.count].iter().position(|hole| touches(*hole, range)) {
            let hole = self.holes[index];
            range = Range { start: hole.start.min(range.start), pages: hole.pages + range.pages };
            self.count -= 1;
            self.holes[index] = self.holes[self.count];
        }
        if end(range) == self.next {
            self.next = range.start;
        } else if self.count < MAX_HOLES {
            self.holes[self.count] = range;
            self.count += 1;
        }
    }
}

fn end(range: Range) -> u64 {
    range.start + range.pages * PAGE_SIZE as u64
}

fn touches(a: Range, b: Range) -> bool {
    end(a) == b.start || end(b) == a.start
}

/// A range of the window area. Dropping it unmaps what is there (unless it is a grant, whose owner must do so first) and frees the range.
#[derive(Debug)]
pub struct Window {
    start: u64,
    pages: usize,
    mapped: bool,
}

impl Window {
    /// First byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start as *mut u8
    }

    /// First byte, never null.
    pub fn as_non_null(&self) -> NonNull<u8> {
        NonNull::new(self.as_ptr()).expect("the window area is not at 0")
    }

    /// Address of page `index`.
    pub fn page(&self, index: usize) -> *mut u8 {
        debug_assert!(index < self.pages);
        (self.start + (index * PAGE_SIZE) as u64) as *mut u8
    }

    /// How many pages.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Maps machine frames of `domid` into this window, from page `first` on, in place of what was there.
    ///
    /// # Safety
    /// As for [`super::map`]; no reference into those pages may live on.
    ///
    /// # Errors
    /// -EINVAL if they do not fit; otherwise as for [`super::map`].
    pub unsafe fn map(&mut self, first: usize, mfns: &[u64], domid: u16, writable: bool) -> Result<()> {
        if first.checked_add(mfns.len()).is_none_or(|end| end > self.pages) {
            return Err(Errno::INVAL);
        }
        let write = if writable { pte::RW | pte::DIRTY } else { 0 };
        // SAFETY: the range is this window's alone (checked); the frames are the caller's obligation.
        unsafe {
            if self.mapped {
                tables::unmap(self.page(first) as u64, mfns.len())?;
            }
            self.fill(first, mfns, domid, PAGE | write)
        }
    }

    /// A window that was forgotten, with what is mapped in it, which its owner will [`Self::unmap`].
    ///
    /// # Safety
    /// It was [`reserve`]d with these pages, and exists once.
    pub(crate) unsafe fn again(start: NonNull<u8>, pages: usize) -> Window {
        Window { start: start.as_ptr() as u64, pages, mapped: false }
    }

    /// Maps frames of our own, writable, into pages where nothing is mapped.
    ///
    /// # Safety
    /// As for [`Window::map`]; the pages must be the window's.
    #[cfg(feature = "alloc")]
    pub(crate) unsafe fn add(&mut self, first: usize, mfns: &[u64]) -> Result<()> {
        // SAFETY: the caller's obligation.
        unsafe { self.fill(first, mfns, abi::domid::SELF, PAGE | pte::RW | pte::DIRTY) }
    }

    /// Unmaps some of the pages.
    ///
    /// # Safety
    /// They must be the window's, and nothing may refer into them any more.
    pub(crate) unsafe fn unmap(&mut self, first: usize, count: usize) -> Result<()> {
        // SAFETY: the caller's obligation.
        let result = unsafe { tables::unmap(self.page(first) as u64, count) };
        if count == self.pages {
            self.mapped = result.is_err();
        }
        result
    }

    /// Maps adjacent frames of our own, writable, from the window's first page on, where nothing is mapped.
    ///
    /// # Safety
    /// As for [`Window::map`]; the pages must be the window's.
    pub(crate) unsafe fn add_run(&mut self, mfn: u64, pages: usize) -> Result<()> {
        // SAFETY: the caller's obligation.
        unsafe { self.fill_run(mfn, pages, abi::domid::SELF, PAGE | pte::RW | pte::DIRTY) }
    }

    /// Maps adjacent frames into pages where nothing is mapped, from the first page on.
    ///
    /// # Safety
    /// As for [`Window::map`]; the pages must be the window's.
    unsafe fn fill_run(&mut self, mfn: u64, pages: usize, domid: u16, flags: u64) -> Result<()> {
        const BATCH: usize = 64;
        for start in (0..pages).step_by(BATCH) {
            let count = BATCH.min(pages - start);
            let mfns: [u64; BATCH] = core::array::from_fn(|index| mfn + (start + index) as u64);
            // SAFETY: the caller's obligation.
            unsafe { self.fill(start, &mfns[..count], domid, flags) }?;
        }
        Ok(())
    }

    /// Maps into pages where nothing is mapped.
    ///
    /// # Safety
    /// As for [`Window::map`]; the pages must be the window's.
    unsafe fn fill(&mut self, first: usize, mfns: &[u64], domid: u16, flags: u64) -> Result<()> {
        self.mapped = true;
        // SAFETY: the caller's obligation.
        unsafe { tables::map(self.page(first) as u64, mfns, domid, flags) }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        if self.mapped {
            // SAFETY: whoever drops the window has no pointer into it any more.
            let result = unsafe { tables::unmap(self.start, self.pages) };
            if result.is_err() {
                // The range is still mapped, so it must not be given out again.
                return;
            }
        }
        SPACE.lock().give(Range { start: self.start, pages: self.pages as u64 });
    }
}

/// Address space for `pages` pages with tables but without mappings: a grant can be mapped there.
///
/// # Errors
/// -EINVAL for 0 pages; -ENOMEM if there is no room or no page for a table.
pub fn reserve(pages: usize) -> Result<Window> {
    if pages == 0 {
        return Err(Errno::INVAL);
    }
    let start = SPACE.lock().take(pages as u64).ok_or(Errno::NOMEM)?;
    let window = Window { start, pages, mapped: false };
    tables::prepare(start, pages)?;
    Ok(window)
}

/// Maps machine frames of another domain.
///
/// # Safety
/// The domain may change the frames at any time: use volatile accesses, or make sure that it does not run.
///
/// # Errors
/// As for [`reserve`]; -EPERM or -EINVAL if the frames are not that domain's or not ours to map.
pub unsafe fn map_foreign(domid: u16, mfns: &[u64], writable: bool) -> Result<Window> {
    let mut window = reserve(mfns.len())?;
    // SAFETY: the window is fresh; the frames are the caller's obligation.
    unsafe { window.map(0, mfns, domid, writable) }?;
    Ok(window)
}

/// Maps machine frames that belong to us or are shared with us by the hypervisor, such as those of the grant table.
///
/// # Safety
/// As for [`super::map`].
///
/// # Errors
/// As for [`reserve`], and what the hypervisor returns.
pub unsafe fn map_frames(mfns: &[u64]) -> Result<Window> {
    // SAFETY: the caller's obligation.
    unsafe { map_foreign(abi::domid::SELF, mfns, true) }
}

/// Maps device memory, uncached: `pages` pages from machine frame `first` on, which [`crate::control::mmio_permit`] permits on Domus. On Xen
/// the first domain may map devices as it is.
///
/// # Safety
/// The range must be a device's, and accesses must be what it expects: volatile, of the right width.
///
/// # Errors
/// As for [`reserve`]; -EPERM or -EINVAL if the range is memory or not ours to map.
pub unsafe fn map_device(first: u64, pages: usize) -> Result<Window> {
    let mut window = reserve(pages)?;
    // SAFETY: the window is fresh; the frames are the caller's obligation.
    unsafe { window.fill_run(first, pages, abi::domid::IO, PAGE | pte::RW | pte::DIRTY | pte::PCD | pte::PWT) }?;
    Ok(window)
}
