//! PCI as data: which functions a machine has, what their configuration space says, and how `lspci` tells it.
//!
//! Dom0 owns the devices, but nothing here touches one: configuration space is read through a small trait, which on the machine is memory
//! and in tests a table. What a device says about itself is not trusted: lists are bounded, offsets are checked, and a lie leads
//! to a function without that capability.

mod bar;
mod capability;
pub mod fake;
mod function;
mod names;
mod render;
mod scan;
#[cfg(test)]
mod tests;

use core::fmt;

pub use bar::{Bar, BarKind};
pub use capability::{Capability, Kind, Region, VirtioRegion};
pub use function::{Bridge, Function};
pub use names::{class_name, device_name, vendor_name};
pub use render::{Listed, list, list_json, list_verbose};
pub use scan::{MOST_BUSES, scan_bus, scan_segment};

/// Where a function sits. Ordered as firmware and people number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Segment: a tree of buses of its own, nearly always 0.
    pub segment: u16,
    /// Bus.
    pub bus: u8,
    /// Device (bits 7-3) and function (bits 2-0).
    pub devfn: u8,
}

impl Address {
    /// Device on the bus, 0 to 31.
    pub const fn device(self) -> u8 {
        self.devfn >> 3
    }

    /// Function of the device, 0 to 7.
    pub const fn function(self) -> u8 {
        self.devfn & 7
    }
}

impl fmt::Display for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segment != 0 {
            write!(to, "{:04x}:", self.segment)?;
        }
        write!(to, "{:02x}:{:02x}.{}", self.bus, self.device(), self.function())
    }
}

/// The first 256 bytes of functions' configuration space, by 32-bit words.
pub trait ConfigSpace {
    /// The word at byte offset `register`, a multiple of 4 below 256. All ones where there is no function.
    fn read(&self, at: Address, register: u8) -> u32;

    /// Writes a word.
    fn write(&mut self, at: Address, register: u8, value: u32);
}

/// Registers, as byte offsets of their words.
pub mod register {
    /// Vendor (bits 15-0) and device.
    pub const ID: u8 = 0x00;
    /// Command (bits 15-0) and status.
    pub const COMMAND: u8 = 0x04;
    /// Revision, programming interface, subclass, class.
    pub const CLASS: u8 = 0x08;
    /// Cache line, latency, header type, self-test.
    pub const HEADER: u8 = 0x0c;
    /// The first base address register.
    pub const BAR0: u8 = 0x10;
    /// A bridge's bus numbers.
    pub const BUSES: u8 = 0x18;
    /// Subsystem vendor and subsystem of an ordinary function.
    pub const SUBSYSTEM: u8 = 0x2c;
    /// Where the list of capabilities begins.
    pub const CAPABILITIES: u8 = 0x34;
    /// Interrupt line and pin.
    pub const INTERRUPT: u8 = 0x3c;
}

/// Command: answer to addresses of ports.
pub const COMMAND_IO: u16 = 1 << 0;
/// Command: answer to addresses of memory.
pub const COMMAND_MEMORY: u16 = 1 << 1;
/// Command: may read and write memory by itself.
pub const COMMAND_MASTER: u16 = 1 << 2;
/// Command: raises no INTx.
pub const COMMAND_NO_INTX: u16 = 1 << 10;
/// Status: there is a list of capabilities.
pub const STATUS_CAPABILITIES: u16 = 1 << 4;
