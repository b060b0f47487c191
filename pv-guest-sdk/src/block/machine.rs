//! What the front end needs of the machine beneath it. In a kernel that is [`Xen`]; tests bring a model with a back end in it.

use core::ptr::NonNull;

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

// SAFETY: the SDK's allocator hands out such pages.
unsafe impl Machine for Xen {
    fn pages(&self, count: usize) -> Option<NonNull<u8>> {
        memory::alloc_pages(count)
    }

    unsafe fn free(&self, start: NonNull<u8>, count: usize) {
        // SAFETY: the caller's obligation.
        unsafe { memory::free_pages(start, count) }
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
