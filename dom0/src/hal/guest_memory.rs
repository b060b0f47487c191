//! Writing the memory of a domain under construction, through a window that slides over its frames.

use core::ptr;

use abi::Errno;
use abi::layout::PAGE_SIZE;
use dom0_core::image::DomainMemory;
use pv_guest_sdk::memory::{self, Window};

/// Pages that are mapped at a time: enough that a small kernel needs no second mapping.
const WINDOW_PAGES: usize = 512;

/// The memory of a domain that has not run yet. Dropping it unmaps everything, as must be before tables are pinned.
pub struct GuestMemory<'a> {
    domid: u16,
    frames: &'a [u64],
    window: Window,
    /// The pages that are mapped: first PFN and how many.
    first: u64,
    mapped: usize,
}

impl<'a> GuestMemory<'a> {
    /// A window onto `frames`, which are the domain's pages from PFN 0 on.
    ///
    /// # Errors
    /// -ENOMEM without address space or memory for tables.
    pub fn new(domid: u16, frames: &'a [u64]) -> Result<Self, Errno> {
        let window = memory::reserve(WINDOW_PAGES.min(frames.len()).max(1))?;
        Ok(Self { domid, frames, window, first: 0, mapped: 0 })
    }

    /// The frame that a page became.
    pub fn frame(&self, pfn: u64) -> Option<u64> {
        self.frames.get(usize::try_from(pfn).ok()?).copied()
    }

    /// The index in the window of page `pfn`, which is mapped with what follows it if it was not.
    fn index(&mut self, pfn: u64) -> Result<usize, Errno> {
        let known = pfn.checked_sub(self.first).filter(|&index| index < self.mapped as u64);
        if let Some(index) = known {
            return Ok(index as usize);
        }
        let from = usize::try_from(pfn).map_err(|_| Errno::INVAL)?;
        let rest = self.frames.get(from..).filter(|rest| !rest.is_empty()).ok_or(Errno::INVAL)?;
        let wanted = rest.get(..self.window.pages()).unwrap_or(rest);
        self.mapped = 0;
        // SAFETY: nothing refers into the window between calls; the domain does not run yet, so the frames are ours to write.
        unsafe { self.window.map(0, wanted, self.domid, true) }?;
        (self.first, self.mapped) = (pfn, wanted.len());
        Ok(0)
    }
}

impl DomainMemory for GuestMemory<'_> {
    fn write(&mut self, address: u64, data: &[u8]) -> Result<(), Errno> {
        let (mut address, mut rest) = (address, data);
        while !rest.is_empty() {
            let index = self.index(address / PAGE_SIZE as u64)?;
            let offset = address as usize % PAGE_SIZE;
            let room = (self.mapped - index) * PAGE_SIZE - offset;
            let (now, later) = rest.split_at(rest.len().min(room));
            // SAFETY: the window maps `mapped` writable pages, and `now` ends within them; they are another domain's frames, so they do
            // not overlap `data`.
            unsafe { ptr::copy_nonoverlapping(now.as_ptr(), self.window.page(index).add(offset), now.len()) };
            address += now.len() as u64;
            rest = later;
        }
        Ok(())
    }
}
