//! The ring page: bytes out, bytes in, waiting for room or data.

use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use abi::Errno;
use abi::xenstore::{RING_SIZE, XenstoreRing};

use super::signal;
use crate::events::{self, Port};
use crate::hypercall::Result;

/// The page and the port of the daemon.
#[derive(Clone, Copy)]
pub(super) struct Wire {
    page: usize,
    port: Port,
}

impl Wire {
    /// `page` is the address of the xenstore page.
    pub(super) fn new(page: *mut u8, port: Port) -> Result<Wire> {
        // Whoever blocks in here wakes up by itself; tasks are told.
        events::start(port, signal::rang)?;
        Ok(Wire { page: page.addr(), port })
    }

    fn ring(&self) -> *mut XenstoreRing {
        self.page as *mut XenstoreRing
    }

    fn indices(&self) -> [&'static AtomicU32; 4] {
        let ring = self.ring();
        // SAFETY: the xenstore page is mapped as long as the kernel runs; the fields are aligned and shared atomically.
        unsafe {
            [&raw mut (*ring).req_cons, &raw mut (*ring).req_prod, &raw mut (*ring).rsp_cons, &raw mut (*ring).rsp_prod]
                .map(|field| AtomicU32::from_ptr(field))
        }
    }

    /// Sends all bytes.
    pub(super) fn send(&self, mut bytes: &[u8]) -> Result<()> {
        let [cons, prod, ..] = self.indices();
        // SAFETY: computes the address of the request bytes.
        let queue = unsafe { (&raw mut (*self.ring()).req).cast::<u8>() };
        while !bytes.is_empty() {
            let mut at = prod.load(Ordering::Relaxed);
            events::wait_until(|| at.wrapping_sub(cons.load(Ordering::Acquire)) != RING_SIZE as u32);
            let queued = at.wrapping_sub(cons.load(Ordering::Acquire)) as usize;
            let count = RING_SIZE.checked_sub(queued).ok_or(Errno::IO)?.min(bytes.len());
            fence(Ordering::SeqCst);
            for &byte in &bytes[..count] {
                // SAFETY: the index is masked to the queue's size.
                unsafe { ptr::write_volatile(queue.add(at as usize % RING_SIZE), byte) };
                at = at.wrapping_add(1);
            }
            prod.store(at, Ordering::Release);
            events::send(self.port)?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Whether a byte has come.
    pub(super) fn has_data(&self) -> bool {
        let [.., cons, prod] = self.indices();
        prod.load(Ordering::Acquire) != cons.load(Ordering::Relaxed)
    }

    /// Fills `buffer`, waiting for bytes.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Result<()> {
        let [.., cons, prod] = self.indices();
        // SAFETY: computes the address of the reply bytes.
        let queue = unsafe { (&raw mut (*self.ring()).rsp).cast::<u8>() };
        let mut filled = 0;
        while filled < buffer.len() {
            events::wait_until(|| self.has_data());
            let mut at = cons.load(Ordering::Relaxed);
            let available = prod.load(Ordering::Acquire).wrapping_sub(at) as usize;
            if available > RING_SIZE {
                return Err(Errno::IO);
            }
            let count = available.min(buffer.len() - filled);
            for byte in &mut buffer[filled..filled + count] {
                // SAFETY: the index is masked to the queue's size.
                *byte = unsafe { ptr::read_volatile(queue.add(at as usize % RING_SIZE)) };
                at = at.wrapping_add(1);
            }
            fence(Ordering::SeqCst);
            cons.store(at, Ordering::Release);
            events::send(self.port)?;
            filled += count;
        }
        Ok(())
    }
}
