//! Bus 0 of the machine, through configuration space that is mapped.

use pv_guest_sdk::abi::Errno;
use pv_guest_sdk::control;
use pv_guest_sdk::hypercall::Result;
use pv_guest_sdk::memory::{self, Window};

/// Functions of a bus, each with a page.
pub const FUNCTIONS: u64 = 256;
const VIRTIO: u32 = 0x1af4;
/// virtio's entropy device, modern.
const ENTROPY: u32 = 0x1044;
/// Capability numbers: vendor specific, MSI-X.
pub const VENDOR: u8 = 0x09;
pub const MSIX: u8 = 0x11;

/// A register of 16 bits in mapped device memory.
pub fn read16(window: &Window, offset: usize) -> u16 {
    assert!(offset + 2 <= window.pages() * 4096);
    // SAFETY: the window maps a device; the offset is inside (checked) and a multiple of 2.
    unsafe { window.as_ptr().add(offset & !1).cast::<u16>().read_volatile() }
}

/// A register of 32 bits.
pub fn read(window: &Window, offset: usize) -> u32 {
    assert!(offset + 4 <= window.pages() * 4096);
    // SAFETY: the window maps a device; the offset is inside (checked) and a multiple of 4.
    unsafe { window.as_ptr().add(offset & !3).cast::<u32>().read_volatile() }
}

/// Writes a register of 32 bits.
pub fn write(window: &Window, offset: usize, value: u32) {
    assert!(offset + 4 <= window.pages() * 4096);
    // SAFETY: as for `read16`; what the device makes of it is memory of ours that was set aside for it.
    unsafe { window.as_ptr().add(offset & !3).cast::<u32>().write_volatile(value) }
}

/// Writes a register of 16 bits.
pub fn write16(window: &Window, offset: usize, value: u16) {
    assert!(offset + 2 <= window.pages() * 4096);
    // SAFETY: as for `write`.
    unsafe { window.as_ptr().add(offset & !1).cast::<u16>().write_volatile(value) }
}

/// Writes a register of 8 bits.
pub fn write8(window: &Window, offset: usize, value: u8) {
    assert!(offset < window.pages() * 4096);
    // SAFETY: as for `write`.
    unsafe { window.as_ptr().add(offset).write_volatile(value) }
}

/// Configuration space of bus 0.
pub struct Bus {
    window: Window,
    /// First frame of it.
    pub frame: u64,
}

impl Bus {
    /// Permits and maps it.
    pub fn map() -> Result<Bus> {
        let info = control::machine_info()?;
        let ecam = info.ecam.first().filter(|ecam| info.ecam_count > 0 && ecam.bus_start == 0).ok_or(Errno::NODEV)?;
        let frame = ecam.base >> 12;
        control::mmio_permit(frame, FUNCTIONS)?;
        // SAFETY: configuration space, read and written by 32 bits.
        Ok(Bus { window: unsafe { memory::map_device(frame, FUNCTIONS as usize) }?, frame })
    }

    /// 32 bits of a function's configuration space.
    pub fn read(&self, devfn: u8, offset: usize) -> u32 {
        read(&self.window, usize::from(devfn) << 12 | offset & 0xffc)
    }

    /// Changes them.
    pub fn write(&self, devfn: u8, offset: usize, value: u32) {
        write(&self.window, usize::from(devfn) << 12 | offset & 0xffc, value);
    }

    /// Functions that answer.
    pub fn functions(&self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(|&devfn| self.read(devfn, 0) != u32::MAX)
    }

    /// The entropy device.
    pub fn entropy(&self) -> Result<u8> {
        self.functions().find(|&devfn| self.read(devfn, 0) == ENTROPY << 16 | VIRTIO).ok_or(Errno::NODEV)
    }

    /// Offsets of capabilities of one kind.
    pub fn capabilities(&self, devfn: u8, id: u8) -> impl Iterator<Item = usize> {
        let mut at = self.read(devfn, 0x34) as usize & 0xfc;
        core::iter::from_fn(move || {
            let here = (at >= 0x40).then_some(at)?;
            at = (self.read(devfn, here) >> 8) as usize & 0xfc;
            Some(here)
        })
        .filter(move |&at| self.read(devfn, at) as u8 == id)
    }

    /// The address in a base address register for memory.
    pub fn bar(&self, devfn: u8, index: usize) -> u64 {
        let low = self.read(devfn, 0x10 + 4 * index);
        let high = if low & 6 == 4 { self.read(devfn, 0x14 + 4 * index) } else { 0 };
        u64::from(high) << 32 | u64::from(low & !0xf)
    }

    /// The frame of a function's MSI-X table.
    pub fn table(&self, devfn: u8) -> Result<u64> {
        let at = self.capabilities(devfn, MSIX).next().ok_or(Errno::NODEV)?;
        let place = self.read(devfn, at + 4);
        Ok((self.bar(devfn, place as usize & 7) + u64::from(place & !7)) >> 12)
    }
}
