//! Which I/O ports answer a guest, and what. All ports that nobody owns read as ones and swallow writes.
//!
//! PCI configuration (0xcf8 to 0xcff) is among them on purpose: a guest that probes for it finds no such bus at its first look, instead
//! of a bus with nothing on it at its 8192nd. Dom0 reaches configuration space through memory (ECAM).

use super::insn::Size;
use super::pit::Pit2;
use zerocopy::FromZeros;

const PIT_CHANNEL_2: u16 = 0x42;
const PIT_CONTROL: u16 = 0x43;
const SPEAKER: u16 = 0x61;
const CMOS_INDEX: u16 = 0x70;
const CMOS_DATA: u16 = 0x71;

/// The ports of one domain; all zero is their state at reset.
#[derive(FromZeros, Clone, Copy, Debug)]
#[repr(C)]
pub struct Ports {
    pit: Pit2,
    cmos_index: u8,
    reserved: [u8; 7],
}

impl Ports {
    /// Reads 1, 2 or 4 bytes, each as if alone. `now` is in ns, on any clock that does not run backwards. `cmos` reads a byte of the
    /// real-time clock by its index (0 to 127); for a domain that may not see the machine's, it gives 0xff.
    pub fn read(&mut self, port: u16, size: Size, now: u64, cmos: impl Fn(u8) -> u8) -> u32 {
        let mut bytes = [0; 4];
        for (offset, byte) in (0..size.bytes()).zip(&mut bytes) {
            *byte = match port.checked_add(offset.into()) {
                Some(port) => self.read_byte(port, now, &cmos),
                None => 0xff,
            };
        }
        u32::from_le_bytes(bytes)
    }

    /// Writes 1, 2 or 4 bytes, each as if alone.
    pub fn write(&mut self, port: u16, size: Size, value: u32, now: u64) {
        for (offset, byte) in (0..size.bytes()).zip(value.to_le_bytes()) {
            if let Some(port) = port.checked_add(offset.into()) {
                self.write_byte(port, byte, now);
            }
        }
    }

    fn read_byte(&mut self, port: u16, now: u64, cmos: impl Fn(u8) -> u8) -> u8 {
        match port {
            PIT_CHANNEL_2 => self.pit.read_42(now),
            SPEAKER => self.pit.read_61(now),
            CMOS_INDEX => self.cmos_index,
            CMOS_DATA => cmos(self.cmos_index),
            _ => 0xff,
        }
    }

    fn write_byte(&mut self, port: u16, value: u8, now: u64) {
        match port {
            PIT_CHANNEL_2 => self.pit.write_42(value, now),
            PIT_CONTROL => self.pit.control(value, now),
            SPEAKER => self.pit.write_61(value, now),
            // Bit 7 of the index port masks NMI on the machine: not a guest's business.
            CMOS_INDEX => self.cmos_index = value & 0x7f,
            _ => {}
        }
    }
}
