//! One page of another domain that both write: a ring. The other side is not trusted, so everything is copied out once, by accesses that the
//! compiler may not repeat.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use abi::Errno;
use abi::layout::PAGE_SIZE;
use pv_guest_sdk::memory::{self, Window};

/// A mapped page. Dropping it unmaps it.
pub struct SharedPage(Window);

impl SharedPage {
    /// Maps a frame of a domain for writing.
    ///
    /// # Errors
    /// -EPERM or -EINVAL if it is not that domain's; -ENOMEM.
    pub fn map(domid: u16, mfn: u64) -> Result<Self, Errno> {
        // SAFETY: the page is only used through the atomics below.
        unsafe { memory::map_foreign(domid, &[mfn], true) }.map(Self)
    }

    /// The word at a byte offset, which must be a multiple of 4 within the page.
    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset < PAGE_SIZE && offset.is_multiple_of(4), "a word of the page");
        // SAFETY: the page is mapped as long as `self` lives, the offset is aligned and inside (checked), and both sides use atomics.
        unsafe { AtomicU32::from_ptr(self.0.as_ptr().add(offset).cast()) }
    }

    /// Reads an index or flag; what the other side wrote before it is seen after.
    pub fn load(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Acquire)
    }

    /// Writes an index or flag, behind everything written before.
    pub fn store(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Release);
    }

    fn byte(&self, offset: usize) -> &AtomicU8 {
        // SAFETY: the page is mapped as long as `self` lives, and the offset is reduced to be inside.
        unsafe { AtomicU8::from_ptr(self.0.as_ptr().add(offset % PAGE_SIZE)) }
    }

    /// Copies bytes out of a queue of `size` bytes (a power of two) at `base`, from free-running index `from` on.
    pub fn read_queue(&self, base: usize, size: usize, from: u32, into: &mut [u8]) {
        for (step, byte) in (0u32..).zip(into) {
            *byte = self.byte(base + from.wrapping_add(step) as usize % size).load(Ordering::Relaxed);
        }
    }

    /// Copies bytes into a queue of `size` bytes (a power of two) at `base`, from free-running index `from` on.
    pub fn write_queue(&self, base: usize, size: usize, from: u32, bytes: &[u8]) {
        for (step, byte) in (0u32..).zip(bytes) {
            self.byte(base + from.wrapping_add(step) as usize % size).store(*byte, Ordering::Relaxed);
        }
    }
}
