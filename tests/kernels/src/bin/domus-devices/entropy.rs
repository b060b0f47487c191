//! The entropy device, driven with as little as it takes: one queue of one buffer (virtio 1.1, 2.6 and 4.1).

use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::control;
use pv_guest_sdk::hypercall::Result;
use pv_guest_sdk::memory::{self, Window};

use crate::pci::{Bus, VENDOR, read, read16, write, write8, write16};

/// Bytes asked for at a time.
const LENGTH: u32 = 64;
/// Where in its page things are: descriptors at 0, the ring of what is available, the ring of what was used, the buffer.
const AVAILABLE: usize = 0x100;
const USED: usize = 0x200;
const BUFFER: usize = 0x800;
const ENTRIES: u16 = 4;

/// The device and the page that it works on.
pub struct Entropy {
    common: Window,
    notify: Window,
    page: NonNull<u8>,
    asked: u16,
}

/// Kinds of structures that a vendor capability names.
const COMMON: u32 = 1;
const NOTIFY: u32 = 2;

impl Entropy {
    /// Resets it and makes it ready; entry 0 of its MSI-X table tells of buffers that are done.
    pub fn start(bus: &Bus, devfn: u8) -> Result<Entropy> {
        // It may write memory, and with it send messages.
        bus.write(devfn, 4, bus.read(devfn, 4) & 0xffff | 6);
        let (common, notify) = (structure(bus, devfn, COMMON)?, structure(bus, devfn, NOTIFY)?);
        let device = Entropy { common, notify, page: memory::alloc_page().ok_or(Errno::NOMEM)?, asked: 0 };
        device.negotiate()?;
        Ok(device)
    }

    fn status(&self, status: u8) {
        write8(&self.common, 0x14, status);
    }

    fn negotiate(&self) -> Result<()> {
        let common = &self.common;
        self.status(0);
        self.status(1 | 2);
        // VERSION_1, the only feature that is needed.
        write(common, 8, 1);
        write(common, 0xc, 1);
        self.status(1 | 2 | 8);
        write16(common, 0x16, 0);
        write16(common, 0x18, ENTRIES);
        write16(common, 0x1a, 0);
        if read16(common, 0x1a) != 0 {
            return Err(Errno::NODEV);
        }
        let machine = memory::virt_to_mfn(self.page.as_ptr()).ok_or(Errno::FAULT)? << 12;
        for (register, offset) in [(0x20, 0), (0x28, AVAILABLE), (0x30, USED)] {
            let address = machine + offset as u64;
            write(common, register, address as u32);
            write(common, register + 4, (address >> 32) as u32);
        }
        // SAFETY: the page is ours; descriptor 0 is the buffer, which the device writes.
        unsafe {
            self.page.cast::<u64>().write_volatile(machine + BUFFER as u64);
            self.page.cast::<u32>().add(2).write_volatile(LENGTH);
            self.page.cast::<u32>().add(3).write_volatile(2);
        }
        write16(common, 0x1c, 1);
        self.status(1 | 2 | 4 | 8);
        Ok(())
    }

    /// Asks for random bytes.
    pub fn ask(&mut self) {
        let slot = usize::from(self.asked % ENTRIES);
        self.asked = self.asked.wrapping_add(1);
        // SAFETY: the page is ours and the device's; the ring of what is available is written by us alone.
        unsafe {
            let ring = self.page.add(AVAILABLE).cast::<u16>();
            ring.add(2 + slot).write_volatile(0);
            fence(Ordering::SeqCst);
            ring.add(1).write_volatile(self.asked);
        }
        fence(Ordering::SeqCst);
        write16(&self.notify, 0, 0);
    }

    /// Whether everything that was asked for is there.
    pub fn done(&self) -> bool {
        // SAFETY: as above; the device writes here.
        unsafe { self.page.add(USED).cast::<u16>().add(1).read_volatile() == self.asked }
    }

    /// Whether the buffer has something in it.
    pub fn filled(&self) -> bool {
        // SAFETY: as above.
        (0..LENGTH as usize).any(|byte| unsafe { self.page.add(BUFFER + byte).read_volatile() } != 0)
    }
}

impl Drop for Entropy {
    fn drop(&mut self) {
        self.status(0);
        // Reads 0 when the device has let go of the page.
        while read(&self.common, 0x14) & 0xff != 0 {}
        // SAFETY: nobody uses it any more.
        unsafe { memory::free_page(self.page) };
    }
}

/// Permits and maps the page of a structure.
fn structure(bus: &Bus, devfn: u8, kind: u32) -> Result<Window> {
    let at = bus.capabilities(devfn, VENDOR).find(|&at| bus.read(devfn, at) >> 24 == kind).ok_or(Errno::NODEV)?;
    let frame = (bus.bar(devfn, bus.read(devfn, at + 4) as usize & 7) + u64::from(bus.read(devfn, at + 8))) >> 12;
    control::mmio_permit(frame, 1)?;
    // SAFETY: registers of a device.
    unsafe { memory::map_device(frame, 1) }
}
