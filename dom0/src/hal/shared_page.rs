//! One page of another domain that both write: a ring. The other side is not trusted, so everything is copied out once, by accesses that the
//! compiler may not repeat.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use abi::Errno;
use abi::layout::PAGE_SIZE;
use pv_guest_sdk::memory::{self, Window};

/// Bytes of a long word.
const LONG: usize = 8;

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

    fn long(&self, offset: usize) -> &AtomicU64 {
        assert!(offset < PAGE_SIZE && offset.is_multiple_of(LONG), "a long word of the page");
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(self.0.as_ptr().add(offset).cast()) }
    }

    /// Copies bytes out of a queue of `size` bytes (a power of two) at `base`, from free-running index `from` on.
    pub fn read_queue(&self, base: usize, size: usize, from: u32, into: &mut [u8]) {
        let from = from as usize % size;
        let (first, second) = into.split_at_mut(into.len().min(size - from));
        self.read(base + from, first);
        self.read(base, second);
    }

    /// Copies bytes into a queue of `size` bytes (a power of two) at `base`, from free-running index `from` on.
    pub fn write_queue(&self, base: usize, size: usize, from: u32, bytes: &[u8]) {
        let from = from as usize % size;
        let (first, second) = bytes.split_at(bytes.len().min(size - from));
        self.write(base + from, first);
        self.write(base, second);
    }

    /// Copies out, by long words as far as they are aligned: a ringful is a guest's to ask for.
    fn read(&self, mut offset: usize, into: &mut [u8]) {
        let (head, rest) = into.split_at_mut((offset.wrapping_neg() % LONG).min(into.len()));
        let (longs, tail) = rest.as_chunks_mut::<LONG>();
        offset = self.read_bytes(offset, head);
        for long in longs {
            *long = self.long(offset).load(Ordering::Relaxed).to_ne_bytes();
            offset += LONG;
        }
        self.read_bytes(offset, tail);
    }

    fn read_bytes(&self, mut offset: usize, into: &mut [u8]) -> usize {
        for byte in into {
            *byte = self.byte(offset).load(Ordering::Relaxed);
            offset += 1;
        }
        offset
    }

    fn write(&self, mut offset: usize, bytes: &[u8]) {
        let (head, rest) = bytes.split_at((offset.wrapping_neg() % LONG).min(bytes.len()));
        let (longs, tail) = rest.as_chunks::<LONG>();
        offset = self.write_bytes(offset, head);
        for long in longs {
            self.long(offset).store(u64::from_ne_bytes(*long), Ordering::Relaxed);
            offset += LONG;
        }
        self.write_bytes(offset, tail);
    }

    fn write_bytes(&self, mut offset: usize, bytes: &[u8]) -> usize {
        for byte in bytes {
            self.byte(offset).store(*byte, Ordering::Relaxed);
            offset += 1;
        }
        offset
    }
}
