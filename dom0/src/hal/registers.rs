//! Registers of devices: device memory that the hypervisor permits and that is mapped uncached, read and written at their width.
//!
//! What a register does is the device's business; a device that is told to read or write memory is told addresses of [`super::dma`] or of
//! pages that guests granted.

use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

use abi::Errno;
use abi::layout::PAGE_SIZE;
use dom0_core::virtio::Registers;
use pv_guest_sdk::control;
use pv_guest_sdk::memory::{self, Window};

/// A range of device memory.
pub struct Mapped {
    window: Window,
    /// Where it begins in the window, and its length.
    start: usize,
    bytes: usize,
}

/// Has all of `bytes` bytes from `address` on permitted at once, where that is possible: ranges of device memory are few, and parts of one that is
/// permitted take none.
pub fn permit_whole(address: u64, bytes: u64) {
    let first = address / PAGE_SIZE as u64;
    let end = address.saturating_add(bytes).div_ceil(PAGE_SIZE as u64);
    // Refused where an MSI-X table lies in it: then parts are asked for one by one, and say what is wrong.
    let _ = control::mmio_permit(first, end.saturating_sub(first));
}

impl Mapped {
    /// Has `bytes` bytes from machine address `address` on permitted and maps them.
    ///
    /// # Errors
    /// -EPERM if the hypervisor keeps them to itself; -EINVAL for none, or for an address that is no multiple of 4; -ENOSPC, -ENOMEM.
    pub fn new(address: u64, bytes: usize) -> Result<Self, Errno> {
        if bytes == 0 || !address.is_multiple_of(4) {
            return Err(Errno::INVAL);
        }
        let start = address as usize % PAGE_SIZE;
        let (frame, pages) = (address / PAGE_SIZE as u64, (start + bytes).div_ceil(PAGE_SIZE));
        control::mmio_permit(frame, pages as u64)?;
        // SAFETY: the hypervisor permits device memory only, and all accesses are the atomic ones below, within the range.
        let window = unsafe { memory::map_device(frame, pages) }?;
        Ok(Self { window, start, bytes })
    }

    /// The register of `width` bytes at a multiple of them; none if it is not all in the range.
    fn at(&self, at: usize, width: usize) -> Option<*mut u8> {
        let inside = at.is_multiple_of(width) && at.checked_add(width).is_some_and(|end| end <= self.bytes);
        // SAFETY: the window is that long.
        inside.then(|| unsafe { self.window.as_ptr().add(self.start + at) })
    }
}

/// Both directions at one width. Atomics are read and written by one instruction, exactly once each.
macro_rules! accesses {
    ($($get:ident $set:ident $type:ty, $atomic:ty;)+) => {$(
        fn $get(&self, at: usize) -> $type {
            // SAFETY: the register is mapped as long as `self` lives, aligned (the range begins at a multiple of 4), and in the range.
            self.at(at, size_of::<$type>()).map_or(0, |at| unsafe { <$atomic>::from_ptr(at.cast()) }.load(Ordering::Relaxed))
        }

        fn $set(&self, at: usize, value: $type) {
            if let Some(at) = self.at(at, size_of::<$type>()) {
                // SAFETY: as for reading.
                unsafe { <$atomic>::from_ptr(at.cast()) }.store(value, Ordering::Release);
            }
        }
    )+};
}

impl Registers for Mapped {
    accesses! {
        get8 set8 u8, AtomicU8;
        get16 set16 u16, AtomicU16;
        get32 set32 u32, AtomicU32;
    }
}
