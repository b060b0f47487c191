//! Memory that devices read and write while we do: never borrowed, only read and written at one width, or copied in and out.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use abi::layout::PAGE_SIZE;
use dom0_core::block::{Buffer, DiskError, Memory, Piece, length};
use dom0_core::virtio::Shared;
use pv_guest_sdk::memory::{self, Contiguous};

/// Zeroed pages, contiguous for us and for the machine. When it is dropped the device must have let go of it.
pub struct DmaMemory(Contiguous);

impl DmaMemory {
    /// So many pages; none if there is no memory.
    pub fn new(pages: usize) -> Option<Self> {
        memory::contiguous(pages).ok().map(Self)
    }

    /// What lies at a multiple of `width`.
    fn at(&self, at: usize, width: usize) -> *mut u8 {
        assert!(at.is_multiple_of(width) && at < self.0.pages() * PAGE_SIZE, "inside, and aligned");
        // SAFETY: inside (asserted: the length is a multiple of every width).
        unsafe { self.0.as_ptr().add(at) }
    }
}

/// Accesses of one width each. Between them nothing is ordered: whoever shares a ring fences.
macro_rules! accesses {
    ($($get:ident $type:ty, $atomic:ty;)+) => {$(
        fn $get(&self, at: usize) -> $type {
            // SAFETY: inside, aligned, and only accessed by atomics on our side.
            unsafe { <$atomic>::from_ptr(self.at(at, size_of::<$type>()).cast()) }.load(Ordering::Relaxed)
        }
    )+};
    (set: $($set:ident $type:ty, $atomic:ty;)+) => {$(
        fn $set(&self, at: usize, value: $type) {
            // SAFETY: as for reading.
            unsafe { <$atomic>::from_ptr(self.at(at, size_of::<$type>()).cast()) }.store(value, Ordering::Relaxed);
        }
    )+};
}

impl Shared for DmaMemory {
    fn machine(&self, at: usize) -> u64 {
        self.0.machine_address() + at as u64
    }

    accesses! {
        get8 u8, AtomicU8;
        get16 u16, AtomicU16;
        get32 u32, AtomicU32;
    }
    accesses! { set:
        set8 u8, AtomicU8;
        set16 u16, AtomicU16;
        set64 u64, AtomicU64;
    }

    #[inline(always)]
    fn set_words<const N: usize>(&self, at: usize, words: [u64; N]) {
        const WORD: usize = size_of::<u64>();
        assert!(at.is_multiple_of(WORD) && at < self.bytes && N * WORD <= self.bytes - at, "inside, and aligned");
        for (index, word) in words.into_iter().enumerate() {
            // SAFETY: inside and aligned (asserted for all of them), and only accessed by atomics on our side.
            unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(at + index * WORD).cast()) }.store(word, Ordering::Relaxed);
        }
    }
}

/// A buffer for requests of our own: single pages, so that buffers that come and go do not use up what is contiguous.
struct DmaBuffer {
    pages: Vec<NonNull<u8>>,
    pieces: Vec<Piece>,
    bytes: usize,
}

impl DmaBuffer {
    fn new(bytes: usize) -> Option<Self> {
        let count = bytes.div_ceil(PAGE_SIZE);
        let mut buffer = Self { pages: Vec::new(), pieces: Vec::new(), bytes };
        buffer.pages.try_reserve_exact(count).ok()?;
        buffer.pieces.try_reserve_exact(count).ok()?;
        for start in (0..bytes).step_by(PAGE_SIZE) {
            let page = memory::alloc_page()?;
            buffer.pages.push(page);
            let address = memory::virt_to_mfn(page.as_ptr())? * PAGE_SIZE as u64;
            buffer.pieces.push(Piece { address, virt: page.as_ptr() as u64, bytes: (bytes - start).min(PAGE_SIZE) as u32 });
        }
        Some(buffer)
    }

    /// The parts of a range that are contiguous in our address space: where each begins, and its length.
    fn parts(&self, at: usize, bytes: usize) -> impl Iterator<Item = (*mut u8, usize)> {
        assert!(at.checked_add(bytes).is_some_and(|end| end <= self.bytes), "inside the buffer");
        let mut from = at;
        core::iter::from_fn(move || {
            let (page, start) = (from / PAGE_SIZE, from % PAGE_SIZE);
            let now = (PAGE_SIZE - start).min(at + bytes - from);
            from += now;
            // SAFETY: inside the page.
            (now > 0).then(|| (unsafe { self.pages[page].as_ptr().add(start) }, now))
        })
    }
}

impl Drop for DmaBuffer {
    /// The device must have let go of it.
    fn drop(&mut self) {
        // SAFETY: the pages are ours and nobody refers to them: accesses are copies, and requests have ended.
        self.pages.iter().for_each(|&page| unsafe { memory::free_page(page) });
    }
}

impl Buffer for DmaBuffer {
    fn get(&self, at: usize, into: &mut [u8]) {
        let mut rest = into;
        for (from, bytes) in self.parts(at, rest.len()) {
            let (now, later) = rest.split_at_mut(bytes);
            // SAFETY: the part is ours, and the borrowed bytes are elsewhere. If a device writes it meanwhile, what is copied is arbitrary.
            unsafe { ptr::copy_nonoverlapping(from, now.as_mut_ptr(), bytes) };
            rest = later;
        }
    }

    fn set(&self, at: usize, from: &[u8]) {
        let mut rest = from;
        for (into, bytes) in self.parts(at, rest.len()) {
            let (now, later) = rest.split_at(bytes);
            // SAFETY: as for reading.
            unsafe { ptr::copy_nonoverlapping(now.as_ptr(), into, bytes) };
            rest = later;
        }
    }

    fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

/// Gives out buffers of Dom0's own memory.
pub struct DeviceMemory;

impl Memory for DeviceMemory {
    fn buffer(&self, bytes: usize) -> Result<Box<dyn Buffer>, DiskError> {
        DmaBuffer::new(bytes).map(|buffer| Box::new(buffer) as _).ok_or(DiskError::NoMemory)
    }

    fn put(&self, into: &[Piece], from: &[u8]) {
        assert!(length(into) >= from.len() as u64, "room for the bytes");
        let mut rest = from;
        for piece in into {
            let (now, later) = rest.split_at(rest.len().min(piece.bytes as usize));
            // SAFETY: whoever made the piece has that much memory mapped there for as long as the request lasts, and nothing of ours borrows
            // it: it is a buffer of this module's or a page that a guest granted.
            unsafe { ptr::copy_nonoverlapping(now.as_ptr(), piece.virt as *mut u8, now.len()) };
            rest = later;
        }
    }
}
