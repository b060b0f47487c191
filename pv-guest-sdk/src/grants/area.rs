//! Address space for many grants: pages in a row, each of which can hold one, mapped and unmapped many at a time.
//!
//! What a back end wants: the pages of a ring one behind the other, and the pages of requests where they can stay mapped.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use abi::Errno;
use abi::grant;
use abi::layout::PAGE_SIZE;

use super::{GrantRef, check};
use crate::hypercall::{self, Result};
use crate::memory::{self, Window};

/// How many grants one hypercall maps or unmaps: as many as the hypervisor works through before it looks for interrupts.
const BATCH: usize = 32;

/// What an area knows of a page; all zero is one that holds no grant.
#[derive(Clone, Copy)]
struct Held {
    /// The handle of the mapping plus 1.
    handle: u32,
    frame: u32,
}

const NONE: Held = Held { handle: 0, frame: 0 };

/// Pages that fit into one page of these.
const PER_PAGE: usize = PAGE_SIZE / size_of::<Held>();

/// A grant that shall be mapped, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct MapRequest {
    /// Which page of the area, which must hold none.
    pub page: usize,
    /// Whose grant.
    pub domid: u16,
    /// Which.
    pub reference: GrantRef,
    /// For writing, too.
    pub writable: bool,
    /// Out: done, or why not, as for [`super::map`].
    pub outcome: Result<()>,
}

impl MapRequest {
    /// A request that was not carried out yet.
    pub const fn new(page: usize, domid: u16, reference: GrantRef, writable: bool) -> MapRequest {
        MapRequest { page, domid, reference, writable, outcome: Err(Errno::INVAL) }
    }
}

/// Pages in a row, for grants. Dropping it unmaps what is mapped.
pub struct Area {
    window: ManuallyDrop<Window>,
    held: NonNull<Held>,
    mapped: usize,
}

// SAFETY: what the pointer points to is the area's alone.
unsafe impl Send for Area {}

impl Area {
    /// Address space for `pages` grants.
    ///
    /// # Errors
    /// -EINVAL for 0 pages; -ENOMEM.
    pub fn new(pages: usize) -> Result<Area> {
        let window = memory::reserve(pages)?;
        let held = memory::alloc_pages(pages.div_ceil(PER_PAGE)).ok_or(Errno::NOMEM)?;
        Ok(Area { window: ManuallyDrop::new(window), held: held.cast(), mapped: 0 })
    }

    /// How many pages.
    pub fn pages(&self) -> usize {
        self.window.pages()
    }

    /// How many of them hold a grant.
    pub fn mapped(&self) -> usize {
        self.mapped
    }

    /// Where a page lies, mapped or not. The other domain may change it at any time: use volatile accesses.
    ///
    /// # Panics
    /// If there is no such page.
    pub fn page(&self, page: usize) -> NonNull<u8> {
        assert!(page < self.pages(), "page {page} of an area of {}", self.pages());
        // SAFETY: within the window's address space.
        unsafe { self.window.as_non_null().add(page * PAGE_SIZE) }
    }

    /// The machine frame of the grant that a page holds, for devices; `None` if it holds none.
    pub fn mfn(&self, page: usize) -> Option<u64> {
        self.get(page).filter(|held| held.handle != 0).map(|held| held.frame.into())
    }

    fn get(&self, page: usize) -> Option<Held> {
        // SAFETY: there is one for each page (checked); the list is the area's alone.
        (page < self.pages()).then(|| unsafe { self.held.add(page).read() })
    }

    fn set(&mut self, page: usize, held: Held) {
        assert!(page < self.pages());
        // SAFETY: as above.
        unsafe { self.held.add(page).write(held) }
    }

    /// Maps grants, many in one hypercall. Each request tells what came of it; the result is how many are mapped.
    pub fn map_many(&mut self, requests: &mut [MapRequest]) -> usize {
        requests.chunks_mut(BATCH).map(|requests| self.map_batch(requests)).sum()
    }

    fn map_batch(&mut self, requests: &mut [MapRequest]) -> usize {
        let mut batch = [grant::MapGrantRef::default(); BATCH];
        let batch = &mut batch[..requests.len()];
        for (raw, request) in batch.iter_mut().zip(requests.iter()) {
            *raw = self.prepare(request);
        }
        // SAFETY: the pages hold no grant, so nothing is replaced.
        let _ = unsafe { hypercall::grant_table_op(grant::OP_MAP_GRANT_REF, batch) };
        let mut done = 0;
        for (raw, request) in batch.iter().zip(requests) {
            // Each has a status of its own, also where the call fails in between.
            request.outcome = check(raw.status);
            if raw.flags != 0 {
                done += usize::from(request.outcome.is_ok());
                let held = Held { handle: raw.handle.wrapping_add(1), frame: (raw.dev_bus_addr >> 12) as u32 };
                self.set(request.page, if request.outcome.is_ok() { held } else { NONE });
            }
        }
        self.mapped += done;
        done
    }

    /// The request as the hypervisor takes it. If there is no such page or it is taken, it asks for no mapping at all, which is refused.
    fn prepare(&mut self, request: &MapRequest) -> grant::MapGrantRef {
        let mut raw = grant::MapGrantRef {
            grant_ref: request.reference,
            dom: request.domid,
            status: grant::GNTST_GENERAL_ERROR,
            ..Default::default()
        };
        if self.get(request.page).is_some_and(|held| held.handle == 0) {
            // So that a second request for the page in the same batch finds it taken.
            self.set(request.page, Held { handle: u32::MAX, frame: 0 });
            raw.flags = grant::GNTMAP_HOST_MAP | if request.writable { 0 } else { grant::GNTMAP_READONLY };
            raw.host_addr = self.page(request.page).as_ptr() as u64;
        }
        raw
    }

    /// Unmaps what some pages hold, many in one hypercall; pages without a grant are passed over.
    ///
    /// # Errors
    /// What the hypervisor said of the first that could not be unmapped: that page holds its grant still.
    pub fn unmap_many(&mut self, pages: impl IntoIterator<Item = usize>) -> Result<()> {
        let mut result = Ok(());
        let mut batch = [grant::UnmapGrantRef::default(); BATCH];
        let mut places = [0; BATCH];
        let mut count = 0;
        for page in pages {
            let Some(held) = self.get(page).filter(|held| held.handle != 0) else { continue };
            let host_addr = self.page(page).as_ptr() as u64;
            let (handle, status) = (held.handle - 1, grant::GNTST_GENERAL_ERROR);
            batch[count] = grant::UnmapGrantRef { host_addr, handle, status, ..Default::default() };
            places[count] = page;
            count += 1;
            if count == BATCH {
                result = result.and(self.unmap_batch(&mut batch, &places));
                count = 0;
            }
        }
        result.and(self.unmap_batch(&mut batch[..count], &places[..count]))
    }

    fn unmap_batch(&mut self, batch: &mut [grant::UnmapGrantRef], places: &[usize]) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        // SAFETY: whoever says that the pages are to be unmapped uses them no longer.
        let _ = unsafe { hypercall::grant_table_op(grant::OP_UNMAP_GRANT_REF, batch) };
        let mut result = Ok(());
        for (raw, &page) in batch.iter().zip(places) {
            let outcome = check(raw.status);
            if outcome.is_ok() {
                self.mapped -= 1;
                self.set(page, NONE);
            }
            result = result.and(outcome);
        }
        result
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let pages = self.pages();
        if self.mapped != 0 && self.unmap_many(0..pages).is_err() {
            // What is mapped still must not be used again: the address space is lost.
            return;
        }
        // SAFETY: dropped here and nowhere else, with nothing mapped; the list is from the allocator, and this long.
        unsafe {
            ManuallyDrop::drop(&mut self.window);
            memory::free_pages(self.held.cast(), pages.div_ceil(PER_PAGE));
        }
    }
}

/// Maps the pages of a ring, say, one behind the other: all of them, for writing, or none.
///
/// # Errors
/// As for [`Area::new`], and those of the first grant that cannot be mapped.
pub fn map_all(domid: u16, references: &[GrantRef]) -> Result<Area> {
    let mut area = Area::new(references.len())?;
    for (first, references) in (0..).step_by(BATCH).zip(references.chunks(BATCH)) {
        let mut requests = [MapRequest::new(0, domid, 0, true); BATCH];
        for (offset, (request, &reference)) in requests.iter_mut().zip(references).enumerate() {
            (request.page, request.reference) = (first + offset, reference);
        }
        let requests = &mut requests[..references.len()];
        area.map_many(requests);
        requests.iter().try_for_each(|request| request.outcome)?;
    }
    Ok(area)
}
