//! The ring page of the console: two queues of bytes.

use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use abi::console::ring::{ConsoleRing, IN_SIZE, OUT_SIZE};

/// The page. The other end is not trusted to keep its indices in order, only to be a byte queue.
#[derive(Clone, Copy)]
pub(super) struct Ring {
    page: usize,
}

impl Ring {
    /// # Safety
    /// `page` must be a mapped console page as long as the kernel runs.
    pub(super) unsafe fn new(page: *mut u8) -> Ring {
        Ring { page: page.addr() }
    }

    fn base(self) -> *mut ConsoleRing {
        ptr::with_exposed_provenance_mut(self.page)
    }

    /// in_cons, in_prod, out_cons, out_prod.
    fn indices(self) -> [&'static AtomicU32; 4] {
        let base = self.base();
        // SAFETY: the page is mapped as long as the kernel runs (see `new`); the fields are aligned and both ends use them atomically.
        unsafe {
            [&raw mut (*base).in_cons, &raw mut (*base).in_prod, &raw mut (*base).out_cons, &raw mut (*base).out_prod]
                .map(|field| AtomicU32::from_ptr(field))
        }
    }

    /// Takes bytes that were typed.
    pub(super) fn read(self, buffer: &mut [u8]) -> usize {
        let [cons, prod, ..] = self.indices();
        // SAFETY: computes the address of the input bytes.
        let input = unsafe { (&raw mut (*self.base()).input).cast::<u8>() };
        let mut at = cons.load(Ordering::Relaxed);
        let available = prod.load(Ordering::Acquire).wrapping_sub(at) as usize;
        let count = available.min(IN_SIZE).min(buffer.len());
        for byte in &mut buffer[..count] {
            // SAFETY: the index is masked to the queue's size.
            *byte = unsafe { ptr::read_volatile(input.add(at as usize % IN_SIZE)) };
            at = at.wrapping_add(1);
        }
        fence(Ordering::SeqCst);
        cons.store(at, Ordering::Release);
        count
    }

    /// Writes as many bytes as there is room for.
    pub(super) fn write(self, bytes: &[u8]) -> usize {
        let [_, _, _, prod] = self.indices();
        // SAFETY: computes the address of the output bytes.
        let output = unsafe { (&raw mut (*self.base()).output).cast::<u8>() };
        let count = self.room().min(bytes.len());
        fence(Ordering::SeqCst);
        let mut at = prod.load(Ordering::Relaxed);
        for &byte in &bytes[..count] {
            // SAFETY: the index is masked to the queue's size.
            unsafe { ptr::write_volatile(output.add(at as usize % OUT_SIZE), byte) };
            at = at.wrapping_add(1);
        }
        prod.store(at, Ordering::Release);
        count
    }

    fn room(self) -> usize {
        let [_, _, cons, prod] = self.indices();
        let queued = prod.load(Ordering::Relaxed).wrapping_sub(cons.load(Ordering::Acquire));
        OUT_SIZE - (queued as usize).min(OUT_SIZE)
    }

    /// Whether a byte can be written.
    pub(super) fn has_room(self) -> bool {
        self.room() > 0
    }
}
