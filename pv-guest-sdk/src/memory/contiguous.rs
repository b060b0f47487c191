//! Memory that is contiguous for the machine, as devices without an IOMMU want it.
//!
//! A domain's frames lie anywhere, so pages of the allocator are exchanged for an extent of adjacent frames (`memory_op` exchange). The frames
//! keep their numbers in the domain, lie in a window while they are used so, and go back to the allocator one by one.

use core::ptr::NonNull;

use abi::Errno;
use abi::layout::PAGE_SIZE;
use abi::memory::{Exchange, OP_EXCHANGE, Reservation};
use abi::mmu::{MACHPHYS_UPDATE, MmuUpdate, pte};

use super::window::{self, Window};
use super::{address, alloc_page, free_page, mfn_to_pfn, pfn_to_mfn, pfn_to_virt, tables, virt_to_pfn};
use crate::hypercall::{self, Result};

/// Pages that can be had in one piece: an extent of the largest order that every domain may have (2 MiB).
pub const MAX_CONTIGUOUS: usize = 512;

/// Pages in a row, for us and for the machine. Dropping gives them back.
#[derive(Debug)]
pub struct Contiguous {
    window: Window,
    first: u64,
}

/// `pages` zeroed pages, 1 to [`MAX_CONTIGUOUS`], in machine frames that are adjacent: that they are is checked here.
///
/// # Errors
/// -EINVAL for another number; -ENOMEM if the domain has no more pages or the hypervisor no such extent; what the hypervisor returns.
pub fn contiguous(pages: usize) -> Result<Contiguous> {
    if pages == 0 || pages > MAX_CONTIGUOUS {
        return Err(Errno::INVAL);
    }
    let mut window = window::reserve(pages)?;
    let mut taken = Pages::take(pages.next_power_of_two())?;
    let first = taken.make_adjacent()?;
    // What is more than was asked for is of no use in one piece.
    taken.give_from(pages);
    // SAFETY: the frames are ours, and nothing else uses them.
    unsafe { window.add_run(first, pages) }?;
    taken.keep();
    let contiguous = Contiguous { window, first };
    if !contiguous.is_contiguous() {
        return Err(Errno::IO);
    }
    // SAFETY: the window maps these pages, writable, and nobody else knows them.
    unsafe { contiguous.as_ptr().write_bytes(0, pages * PAGE_SIZE) };
    Ok(contiguous)
}

impl Contiguous {
    /// First byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.window.as_ptr()
    }

    /// First byte, never null.
    pub fn as_non_null(&self) -> NonNull<u8> {
        self.window.as_non_null()
    }

    /// How many pages.
    pub fn pages(&self) -> usize {
        self.window.pages()
    }

    /// The first machine frame; the others follow it.
    pub fn mfn(&self) -> u64 {
        self.first
    }

    /// What a device takes for the address of the first byte.
    pub fn machine_address(&self) -> u64 {
        self.first << 12
    }

    /// True if the page tables and the hypervisor's table agree that page n is machine frame first + n, and ours.
    pub fn is_contiguous(&self) -> bool {
        (0..self.pages()).all(|page| {
            let mfn = self.first + page as u64;
            let entry = tables::lookup(self.window.page(page) as u64);
            entry.is_some_and(|entry| (entry & pte::ADDR_MASK) >> 12 == mfn) && mfn_to_pfn(mfn).is_some()
        })
    }

    /// Forgets the owner: for interfaces that know memory by its address, and give it back by [`Contiguous::from_raw`].
    pub fn into_raw(self) -> (NonNull<u8>, u64) {
        let raw = (self.as_non_null(), self.machine_address());
        core::mem::forget(self);
        raw
    }

    /// The owner again.
    ///
    /// # Safety
    /// `start` and `pages` are of one that [`Contiguous::into_raw`] forgot, and this is its only owner.
    ///
    /// # Panics
    /// If nothing is mapped there.
    pub unsafe fn from_raw(start: NonNull<u8>, pages: usize) -> Contiguous {
        let entry = tables::lookup(start.as_ptr() as u64).expect("contiguous memory is mapped while it lives");
        // SAFETY: the caller's obligation.
        let window = unsafe { Window::again(start, pages) };
        Contiguous { window, first: (entry & pte::ADDR_MASK) >> 12 }
    }
}

impl Drop for Contiguous {
    fn drop(&mut self) {
        let pages = self.pages();
        // SAFETY: whoever drops this has no pointer into it any more, and no device uses it.
        if unsafe { self.window.unmap(0, pages) }.is_err() {
            return;
        }
        for page in 0..pages {
            let mfn = self.first + page as u64;
            let Some(pfn) = mfn_to_pfn(mfn) else { continue };
            // SAFETY: the frame is ours, and mapped nowhere else.
            unsafe { give(pfn, mfn) };
        }
    }
}

/// Puts a frame back at its place in the linear area, and its page back to the allocator. If that fails, the page is lost, and nothing else.
///
/// # Safety
/// Nothing uses the frame, and it is the frame `pfn` of ours.
unsafe fn give(pfn: u64, mfn: u64) {
    let page = pfn_to_virt(pfn);
    // SAFETY: the caller's obligation.
    if unsafe { tables::map_back(page, mfn) }.is_ok()
        && let Some(page) = NonNull::new(page)
    {
        // SAFETY: the caller's obligation.
        unsafe { free_page(page) };
    }
}

/// Pages of the allocator on their way: by number and machine frame. What is here when it is dropped goes back.
struct Pages {
    pfns: List,
    mfns: List,
    count: usize,
}

impl Pages {
    fn take(count: usize) -> Result<Pages> {
        let mut pages = Pages { pfns: List::new()?, mfns: List::new()?, count: 0 };
        for index in 0..count {
            let page = alloc_page().ok_or(Errno::NOMEM)?;
            let pfn = virt_to_pfn(page.as_ptr()).ok_or(Errno::INVAL)?;
            pages.pfns.words()[index] = pfn;
            pages.mfns.words()[index] = pfn_to_mfn(pfn).ok_or(Errno::INVAL)?;
            pages.count = index + 1;
        }
        Ok(pages)
    }

    /// Exchanges the frames for adjacent ones, if they are not; tells the first.
    fn make_adjacent(&mut self) -> Result<u64> {
        let (pfns, mfns) = (&self.pfns.words()[..self.count], &mut self.mfns.words()[..self.count]);
        let adjacent = |mfns: &[u64]| mfns.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        if adjacent(mfns) {
            return Ok(mfns[0]);
        }
        for &pfn in pfns {
            // SAFETY: the pages are the allocator's, and nothing refers to them.
            unsafe { tables::take_away(pfn_to_virt(pfn)) }?;
        }
        tables::flush()?;
        let first = exchange(mfns, pfns[0])?;
        for (index, (mfn, &pfn)) in mfns.iter_mut().zip(pfns).enumerate() {
            *mfn = first + index as u64;
            // SAFETY: the hypervisor said so.
            unsafe { address::set_mfn(pfn, *mfn) };
        }
        name(pfns, first)?;
        Ok(first)
    }

    /// Gives back all from one on.
    fn give_from(&mut self, kept: usize) {
        for index in kept..self.count {
            // SAFETY: nothing uses what is here.
            unsafe { give(self.pfns.words()[index], self.mfns.words()[index]) };
        }
        self.count = self.count.min(kept);
    }

    /// All have another owner now.
    fn keep(mut self) {
        self.count = 0;
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.give_from(0);
    }
}

/// Gives frames for an extent of as many adjacent ones, the first of which will be frame `pfn` of ours; tells where it begins.
fn exchange(mfns: &[u64], pfn: u64) -> Result<u64> {
    let mut first = pfn;
    let list = |extent_start: u64, nr_extents: usize, extent_order: u32| Reservation {
        extent_start,
        nr_extents: nr_extents as u64,
        extent_order,
        domid: abi::domid::SELF,
        ..Default::default()
    };
    let mut request = Exchange {
        input: list(mfns.as_ptr() as u64, mfns.len(), 0),
        output: list((&raw mut first) as u64, 1, mfns.len().trailing_zeros()),
        nr_exchanged: 0,
    };
    // SAFETY: the structure of the operation; nothing maps or uses the frames that are given.
    unsafe { hypercall::memory_op(OP_EXCHANGE, &mut request) }?;
    Ok(first)
}

/// Tells the hypervisor's table which frames of ours the adjacent ones from `first` on are.
fn name(pfns: &[u64], first: u64) -> Result<()> {
    const BATCH: usize = 64;
    for (start, pfns) in (0..).step_by(BATCH).zip(pfns.chunks(BATCH)) {
        let mut batch = [MmuUpdate::default(); BATCH];
        for (offset, (request, &val)) in batch.iter_mut().zip(pfns).enumerate() {
            *request = MmuUpdate { ptr: (first + start + offset as u64) << 12 | MACHPHYS_UPDATE, val };
        }
        // SAFETY: it changes no mapping.
        unsafe { hypercall::mmu_update(&batch[..pfns.len()], abi::domid::SELF) }?;
    }
    Ok(())
}

/// A page of the allocator as a list of numbers.
struct List(NonNull<[u64; MAX_CONTIGUOUS]>);

impl List {
    fn new() -> Result<List> {
        alloc_page().map(|page| List(page.cast())).ok_or(Errno::NOMEM)
    }

    fn words(&mut self) -> &mut [u64; MAX_CONTIGUOUS] {
        // SAFETY: the page is this list's alone, mapped, and as long.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the page is from the allocator, and nothing refers to it any more.
        unsafe { free_page(self.0.cast()) };
    }
}
