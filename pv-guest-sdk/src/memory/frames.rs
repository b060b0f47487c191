//! The allocator of frames: a bump pointer from the end of what the builder used, and a list of pages that came back.
//!
//! Memory beyond the builder's mapping is mapped 2 MiB at a time when the pointer gets there.

use core::ptr::NonNull;

use abi::layout::PAGE_SIZE;

use super::{LINEAR_FRAMES, mfn_to_pfn, pfn_to_mfn, pfn_to_virt, tables, virt_to_pfn};
use crate::BootInfo;
use crate::sync::IrqMutex;

/// Frames kept back while growing: the tables of the next piece are built from them.
const SPARE: u64 = 4;

struct Frames {
    next: u64,
    mapped: u64,
    end: u64,
    free: Option<NonNull<FreePage>>,
    listed: u64,
}

struct FreePage {
    next: Option<NonNull<FreePage>>,
}

// SAFETY: the list's pages belong to the allocator alone.
unsafe impl Send for Frames {}

static FRAMES: IrqMutex<Frames> = IrqMutex::new(Frames { next: 0, mapped: 0, end: 0, free: None, listed: 0 });

/// Finds the first frame that the builder did not use, and the first that it did not map.
pub(super) fn init(info: &BootInfo) {
    let raw = info.start_info();
    let end_of = |address: u64, bytes: u64| virt_to_pfn((address + bytes.max(1) - 1) as *const u8).map_or(0, |pfn| pfn + 1);
    let stack_end = end_of(raw.pt_base, raw.nr_pt_frames * PAGE_SIZE as u64);
    let page_end = |mfn: u64| {
        if mfn == 0 { 0 } else { mfn_to_pfn(mfn).map_or(0, |pfn| pfn + 1) }
    };
    let mut next = stack_end
        .max(end_of((&raw const *raw) as u64, size_of_val(raw) as u64))
        .max(end_of(raw.mfn_list, raw.nr_pages * 8))
        .max(page_end(raw.store_mfn));
    if !info.is_initial_domain() {
        next = next.max(page_end(raw.console_mfn));
    }
    if raw.mod_len != 0 && raw.flags & abi::start_info::SIF_MOD_START_PFN == 0 {
        next = next.max(end_of(raw.mod_start, raw.mod_len));
    }
    let mut frames = FRAMES.lock();
    frames.end = raw.nr_pages.min(LINEAR_FRAMES);
    frames.next = next;
    frames.mapped = next;
    while frames.mapped < frames.end && tables::is_mapped_at_boot(raw.pt_base, pfn_to_virt(frames.mapped) as u64) {
        frames.mapped += 1;
    }
}

/// A zeroed page, or `None` if memory is exhausted.
pub fn alloc_page() -> Option<NonNull<u8>> {
    alloc_pages(1)
}

/// `count` zeroed pages that are contiguous in pseudo-physical and virtual memory, or `None`.
pub fn alloc_pages(count: usize) -> Option<NonNull<u8>> {
    let page = take(count)?;
    // SAFETY: the pages are mapped, writable, and nobody else's.
    unsafe { page.write_bytes(0, count * PAGE_SIZE) };
    Some(page)
}

/// The same, with whatever is in them.
#[cfg(feature = "alloc")]
pub(crate) fn alloc_dirty_pages(count: usize) -> Option<NonNull<u8>> {
    take(count)
}

/// `count` zeroed pages that are contiguous in machine memory too, as devices want them, or `None`.
///
/// Frames that do not fit are left to [`alloc_page`]. Give them back with [`free_pages`].
pub fn alloc_contiguous(count: usize) -> Option<NonNull<u8>> {
    let pages = u64::try_from(count).ok().filter(|&count| count > 0)?;
    let mut frames = FRAMES.lock();
    loop {
        frames.reserve(pages)?;
        let first = frames.next;
        let start = pfn_to_mfn(first)?;
        match (0..pages).find(|&index| pfn_to_mfn(first + index) != Some(start + index)) {
            None => break,
            Some(gap) => frames.skip(gap),
        }
    }
    let start = frames.bump(pages)?;
    drop(frames);
    // SAFETY: the pages are mapped, writable, and nobody else's.
    unsafe { start.write_bytes(0, count * PAGE_SIZE) };
    Some(start)
}

fn take(count: usize) -> Option<NonNull<u8>> {
    let mut frames = FRAMES.lock();
    if count == 1
        && let Some(page) = frames.free
    {
        // SAFETY: pages on the list are ours and start with the link.
        frames.free = unsafe { page.read() }.next;
        frames.listed -= 1;
        return Some(page.cast());
    }
    let count = u64::try_from(count).ok().filter(|&count| count > 0)?;
    frames.reserve(count)?;
    frames.bump(count)
}

impl Frames {
    /// Makes sure that the next `count` frames exist and are mapped.
    fn reserve(&mut self, count: u64) -> Option<()> {
        let wanted = count.checked_add(SPARE)?;
        while self.mapped < self.end && self.mapped - self.next < wanted {
            self.grow()?;
        }
        (self.mapped - self.next >= wanted).then_some(())
    }

    /// Hands out the next `count` frames, which are reserved.
    fn bump(&mut self, count: u64) -> Option<NonNull<u8>> {
        let page = pfn_to_virt(self.next);
        self.next += count;
        NonNull::new(page)
    }

    /// Moves the next `count` frames, which are mapped, to the list.
    fn skip(&mut self, count: u64) {
        for _ in 0..count {
            if let Some(page) = self.bump(1) {
                self.give(page.cast());
            }
        }
    }

    /// Adds a page to the list.
    fn give(&mut self, page: NonNull<FreePage>) {
        // SAFETY: the page is the allocator's, mapped and writable.
        unsafe { page.write(FreePage { next: self.free }) };
        self.free = Some(page);
        self.listed += 1;
    }

    /// Maps the rest of the 2 MiB that the first unmapped frame lies in, out of the spare frames.
    fn grow(&mut self) -> Option<()> {
        let end = (self.mapped / 512 * 512 + 512).min(self.end);
        let next = &mut self.next;
        // SAFETY: these frames are mapped nowhere yet and belong to the allocator.
        unsafe {
            tables::map_linear(self.mapped..end, &mut || {
                *next += 1;
                pfn_to_virt(*next - 1)
            })
        }?;
        self.mapped = end;
        Some(())
    }
}

/// Takes back a page.
///
/// # Safety
/// It must come from the allocator, and nothing may use it any more, other domains included.
pub unsafe fn free_page(page: NonNull<u8>) {
    FRAMES.lock().give(page.cast());
}

/// Takes back pages that were allocated together; they can then be had one by one only.
///
/// # Safety
/// As for [`free_page`].
pub unsafe fn free_pages(first: NonNull<u8>, count: usize) {
    for index in 0..count {
        // SAFETY: the caller's obligation; the pages are contiguous.
        unsafe { free_page(first.add(index * PAGE_SIZE)) };
    }
}

/// Frames in use, those of the image and the start included, and frames that can still be had.
pub fn used_frames() -> (u64, u64) {
    let frames = FRAMES.lock();
    let free = frames.listed + frames.end.saturating_sub(frames.next);
    (frames.end.saturating_sub(free), free)
}
