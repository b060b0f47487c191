//! MCFG: where PCI configuration space is mapped (PCI Firmware Specification 3.3, 4.1.2).

use super::{Physical, Tables, number};

/// One segment's mapped configuration space.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ecam {
    /// Physical address of bus 0 of the segment.
    pub base: u64,
    /// PCI segment group.
    pub segment: u16,
    /// First bus.
    pub first_bus: u8,
    /// Last bus.
    pub last_bus: u8,
}

impl Ecam {
    /// Entry `index` of the MCFG.
    pub fn read<P: Physical>(tables: &Tables<'_, P>, index: u64) -> Option<Ecam> {
        let table = tables.table(b"MCFG")?;
        let count = table.length.saturating_sub(44) / 16;
        if index >= count {
            return None;
        }
        let at = table.address + 44 + index * 16;
        Some(Ecam {
            base: number::<8>(tables.memory, at),
            segment: number::<2>(tables.memory, at + 8) as u16,
            first_bus: number::<1>(tables.memory, at + 10) as u8,
            last_bus: number::<1>(tables.memory, at + 11) as u8,
        })
    }
}
