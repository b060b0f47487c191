//! PCI configuration space, read and written through ECAM (PCI Express Base Specification 5.0, 7.2.2; PCI Local Bus 3.0, 6).

use crate::firmware::Ecam;
use crate::frames::Frames;
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;

/// A function of a device on a bus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function {
    /// PCI segment.
    pub segment: u16,
    /// Bus.
    pub bus: u8,
    /// Device (bits 7-3) and function (bits 2-0).
    pub devfn: u8,
}

/// Command register: the function answers to its memory addresses.
pub const COMMAND_MEMORY: u32 = 1 << 1;
/// Command and status.
pub const COMMAND: u16 = 0x04;
/// Status (upper half of [`COMMAND`]): there is a list of capabilities.
const STATUS_CAPABILITIES: u32 = 1 << 20;
const HEADER_TYPE: u16 = 0x0c;
const BARS: u16 = 0x10;
const CAPABILITIES: u16 = 0x34;
/// Capabilities that fit into the 256 bytes.
const MAX_CAPABILITIES: usize = 48;

/// What no function answers with.
const NOBODY: u32 = u32::MAX;

/// The configuration space of one function.
#[derive(Clone, Copy)]
pub struct Config {
    base: u64,
}

impl Function {
    /// Its configuration space; `None` if the firmware tells of none or nobody answers there.
    pub fn config<M: Machine>(self, hv: &Hypervisor<M>) -> Option<Config> {
        let ecam = hv.platform.ecam.iter().flatten().find(|ecam| ecam.segment == self.segment && covers(ecam, self.bus))?;
        let config = Config { base: base(ecam, &hv.frames, self.bus, self.devfn)? };
        (config.read(&hv.machine, 0) != NOBODY).then_some(config)
    }
}

fn covers(ecam: &Ecam, bus: u8) -> bool {
    (ecam.first_bus..=ecam.last_bus).contains(&bus)
}

/// Where a function's configuration space lies; none if the firmware's table is nonsense.
fn base(ecam: &Ecam, frames: &Frames, bus: u8, devfn: u8) -> Option<u64> {
    // The base is that of bus 0, whatever the first bus is.
    let base = ecam.base.checked_add(u64::from(bus) << 20 | u64::from(devfn) << 12)?;
    let frame = base >> 12;
    (base & 0xfff == 0 && !frames.has_ram(frame, frame + 1)).then_some(base)
}

impl Config {
    /// Reads 32 bits at an offset that is a multiple of 4, below 4096.
    pub fn read<M: Machine>(self, machine: &M, offset: u16) -> u32 {
        machine.mmio_read32(self.base + u64::from(offset & 0xffc))
    }

    /// Writes 32 bits.
    pub fn write<M: Machine>(self, machine: &M, offset: u16, value: u32) {
        machine.mmio_write32(self.base + u64::from(offset & 0xffc), value);
    }

    fn header_type<M: Machine>(self, machine: &M) -> u32 {
        self.read(machine, HEADER_TYPE) >> 16 & 0xff
    }

    /// The offset of a capability.
    pub fn capability<M: Machine>(self, machine: &M, id: u32) -> Option<u16> {
        if self.read(machine, COMMAND) & STATUS_CAPABILITIES == 0 {
            return None;
        }
        let mut at = self.read(machine, CAPABILITIES) as u16 & 0xfc;
        // A list that bites its tail ends, too.
        for _ in 0..MAX_CAPABILITIES {
            if at < 0x40 {
                return None;
            }
            let header = self.read(machine, at);
            if header & 0xff == id {
                return Some(at);
            }
            at = (header >> 8) as u16 & 0xfc;
        }
        None
    }

    /// The address in a base address register for memory; none if the register is for ports, does not exist or was given no address.
    pub fn bar<M: Machine>(self, machine: &M, index: u16) -> Option<u64> {
        const PORTS: u32 = 1;
        const WIDTH: u32 = 6;
        const WIDE: u32 = 4;
        let bars = if self.header_type(machine) & 0x7f == 0 { 6 } else { 2 };
        if index >= bars {
            return None;
        }
        let low = self.read(machine, BARS + 4 * index);
        let high = match low & (PORTS | WIDTH) {
            0 => 0,
            WIDE if index + 1 < bars => self.read(machine, BARS + 4 * index + 4),
            _ => return None,
        };
        let address = u64::from(high) << 32 | u64::from(low & !0xf);
        (address != 0).then_some(address)
    }
}

/// Every function that answers, in the order of buses: at most a read for each device of 256 buses, and seven more for those that have
/// several functions.
pub fn each_function<M: Machine>(machine: &M, frames: &Frames, ecam: &Ecam, mut found: impl FnMut(Function, Config)) {
    const SEVERAL: u32 = 0x80;
    for bus in ecam.first_bus..=ecam.last_bus {
        for device in 0..32u8 {
            let mut functions = 1;
            let mut number = 0;
            while number < functions {
                let devfn = device << 3 | number;
                let Some(base) = base(ecam, frames, bus, devfn) else { return };
                let config = Config { base };
                if config.read(machine, 0) != NOBODY {
                    if number == 0 && config.header_type(machine) & SEVERAL != 0 {
                        functions = 8;
                    }
                    found(Function { segment: ecam.segment, bus, devfn }, config);
                }
                number += 1;
            }
        }
    }
}
