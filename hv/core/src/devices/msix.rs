//! MSI-X (PCI Local Bus 3.0, 6.8.2): where a function keeps the table of its interrupts, and which functions have one.

use super::pci::{Config, Function, each_function};
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;

/// Its capability's number.
const ID: u32 = 0x11;
/// Bytes of a table's entry.
pub const ENTRY: u64 = 16;

/// A function's MSI-X capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Where in configuration space its control word is (upper half of these 32 bits).
    pub control: u16,
    /// Physical address of the first entry.
    pub address: u64,
    /// How many entries.
    pub entries: u32,
}

impl Table {
    /// Finds a function's table; none if it has none, or in no memory.
    pub fn find<M: Machine>(machine: &M, config: Config) -> Option<Table> {
        let control = config.capability(machine, ID)?;
        let entries = (config.read(machine, control) >> 16 & 0x7ff) + 1;
        let place = config.read(machine, control + 4);
        let address = config.bar(machine, (place & 7) as u16)?.checked_add(u64::from(place & !7))?;
        address.checked_add(u64::from(entries) * ENTRY)?;
        Some(Table { control, address, entries })
    }

    /// The frames that it lies in, first and the one behind the last.
    pub fn frames(&self) -> (u64, u64) {
        (self.address >> 12, (self.address + u64::from(self.entries) * ENTRY).div_ceil(4096))
    }
}

/// Functions with MSI-X that are remembered.
const MAX_FUNCTIONS: usize = 128;

/// Which functions have MSI-X: looked for once, since that takes thousands of reads. Where their tables are is read each time.
pub(super) struct Functions {
    found: [Option<Function>; MAX_FUNCTIONS],
    looked: bool,
    too_many: bool,
}

impl Functions {
    pub(super) const fn new() -> Self {
        Functions { found: [None; MAX_FUNCTIONS], looked: false, too_many: false }
    }
}

/// True if a function's table lies in any of these frames. On a machine with more functions than are remembered, all might.
pub(super) fn table_in<M: Machine>(hv: &mut Hypervisor<M>, first: u64, end: u64) -> bool {
    if !hv.devices.msix.looked {
        look(hv);
    }
    let known = &hv.devices.msix;
    known.too_many
        || known.found.iter().flatten().any(|function| {
            let table = function.config(hv).and_then(|config| Table::find(&hv.machine, config));
            table.is_some_and(|table| table.frames().0 < end && first < table.frames().1)
        })
}

fn look<M: Machine>(hv: &mut Hypervisor<M>) {
    let Hypervisor { machine, frames, platform, devices, .. } = hv;
    let known = &mut devices.msix;
    known.looked = true;
    let mut count = 0;
    for ecam in platform.ecam.iter().flatten() {
        each_function(machine, frames, ecam, |function, config| {
            if config.capability(machine, ID).is_some() {
                match known.found.get_mut(count) {
                    Some(slot) => *slot = Some(function),
                    None => known.too_many = true,
                }
                count += 1;
            }
        });
    }
}
