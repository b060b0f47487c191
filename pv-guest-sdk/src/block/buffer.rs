//! Memory of the caller's own that a request reads or writes in place: lent to the back end for the length of the request, and only then.

use alloc::sync::Arc;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::slice;

use abi::layout::PAGE_SIZE;

use super::machine::{Machine, Xen};

/// Whole pages. While a request uses them it owns them, so nobody sees them change.
pub struct Buffer<M: Machine = Xen> {
    start: NonNull<u8>,
    pages: usize,
    machine: M,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl<M: Machine + Send> Send for Buffer<M> {}
// SAFETY: shared access only reads.
unsafe impl<M: Machine + Sync> Sync for Buffer<M> {}

impl Buffer<Xen> {
    /// So many pages, zeroed; `None` if there is no memory. From 512 KiB on keep it and use it again: such pages come back one by one only.
    pub fn new(pages: usize) -> Option<Buffer> {
        Buffer::new_on(Xen, pages)
    }
}

impl<M: Machine> Buffer<M> {
    /// The same on another machine.
    pub fn new_on(machine: M, pages: usize) -> Option<Buffer<M>> {
        let start = machine.pages(pages)?;
        Some(Buffer { start, pages, machine })
    }

    /// How many pages.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// A page's address.
    pub(super) fn page(&self, index: usize) -> NonNull<u8> {
        assert!(index < self.pages);
        // SAFETY: the page lies in the allocation (checked).
        unsafe { self.start.add(index * PAGE_SIZE) }
    }
}

impl<M: Machine> Deref for Buffer<M> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the memory is ours, initialised, and lent to nobody who may write while this value can be reached.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.pages * PAGE_SIZE) }
    }
}

impl<M: Machine> DerefMut for Buffer<M> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.pages * PAGE_SIZE) }
    }
}

impl<M: Machine> fmt::Debug for Buffer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} pages)", self.pages)
    }
}

impl<M: Machine> Drop for Buffer<M> {
    fn drop(&mut self) {
        // SAFETY: it came from there. A buffer whose grants could not be taken back is never dropped.
        unsafe { self.machine.free(self.start, self.pages) }
    }
}

/// A part of a buffer, as a request holds it.
#[derive(Debug)]
pub struct Lent<M: Machine> {
    /// The buffer. Each request that uses a part of it has a share.
    pub buffer: Arc<Buffer<M>>,
    /// The first page of the part.
    pub first: usize,
    /// How many pages.
    pub pages: usize,
}
