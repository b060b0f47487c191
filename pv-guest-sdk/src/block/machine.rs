//! What the front end needs of the machine beneath it. In a kernel that is [`Xen`]; tests bring a model with a back end in it.

use core::alloc::Layout;
use core::ptr::NonNull;

use abi::layout::PAGE_SIZE;

use crate::events::{self, Port};
use crate::grants::{self, GrantRef};
use crate::hypercall::Result;
use crate::memory;

/// Pages, grants, and a way to ring.
///
/// # Safety
/// Pages must be page-aligned, zeroed, writable, contiguous, and nobody else's until they are given back.
pub unsafe trait Machine: Clone {
    /// So many pages, or `None` if there are none.
    fn pages(&self, count: usize) -> Option<NonNull<u8>>;

    /// Takes pages back.
    ///
    /// # Safety
    /// They come from [`Self::pages`] with this count, nothing uses them any more, and no grant of them is left.
    unsafe fn free(&self, start: NonNull<u8>, count: usize);

    /// Lets domain `domid` use a page.
    ///
    /// # Safety
    /// As for [`grants::grant`].
    ///
    /// # Errors
    /// As for [`grants::grant`].
    unsafe fn grant(&self, domid: u16, page: NonNull<u8>, writable: bool) -> Result<GrantRef>;

    /// Ends a grant.
    ///
    /// # Errors
    /// -EBUSY if the other domain still has the page mapped.
    fn revoke(&self, reference: GrantRef) -> Result<()>;

    /// Tells the other end that there are requests.
    fn notify(&self, port: Port);
}

/// The machine of a kernel: the SDK's own memory, grant table and event channels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Xen;

/// How pages are asked of the heap. Frames that were allocated together come back one by one only, so whoever uses several again and again would use
/// up all of them; the SDK's heap joins what is freed. It is asked for less than it might borrow elsewhere (`heap::large`), where nothing can be granted.
fn heap_layout(count: usize) -> Option<Layout> {
    const LARGE: usize = 512 * 1024;
    let may = cfg!(feature = "alloc") && count > 1 && count < LARGE / PAGE_SIZE;
    Layout::from_size_align(count.checked_mul(PAGE_SIZE)?, PAGE_SIZE).ok().filter(|_| may)
}

// SAFETY: the SDK's allocators hand out such pages; its heap lies in the linear area.
unsafe impl Machine for Xen {
    fn pages(&self, count: usize) -> Option<NonNull<u8>> {
        match heap_layout(count) {
            // SAFETY: the layout is not empty.
            Some(layout) => NonNull::new(unsafe { alloc::alloc::alloc_zeroed(layout) }),
            None => memory::alloc_pages(count),
        }
    }

    unsafe fn free(&self, start: NonNull<u8>, count: usize) {
        match heap_layout(count) {
            // SAFETY: it came from there with this layout; the rest is the caller's obligation.
            Some(layout) => unsafe { alloc::alloc::dealloc(start.as_ptr(), layout) },
            // SAFETY: the caller's obligation.
            None => unsafe { memory::free_pages(start, count) },
        }
    }

    unsafe fn grant(&self, domid: u16, page: NonNull<u8>, writable: bool) -> Result<GrantRef> {
        // SAFETY: the caller's obligation.
        unsafe { grants::grant(domid, page, writable) }
    }

    fn revoke(&self, reference: GrantRef) -> Result<()> {
        grants::revoke(reference)
    }

    fn notify(&self, port: Port) {
        // An end that has closed its port is found out by its state.
        let _ = events::send(port);
    }
}
