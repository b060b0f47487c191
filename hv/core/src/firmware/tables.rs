//! Finding a table by its signature (ACPI 6.5, 5.2.5 to 5.2.8).

use super::{Physical, number};

/// More entries than any machine has; a longer list is cut.
const MAX_TABLES: u64 = 128;

/// A table: its physical address and its length in bytes, header included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Where.
    pub address: u64,
    /// How long.
    pub length: u64,
}

/// The list of tables, the XSDT or the older RSDT.
pub struct Tables<'a, P: Physical> {
    pub(super) memory: &'a P,
    root: Table,
    entry_size: u64,
}

impl<'a, P: Physical> Tables<'a, P> {
    /// Reads the RSDP at `rsdp`; `None` if it is none.
    pub fn find(memory: &'a P, rsdp: u64) -> Option<Self> {
        let mut signature = [0; 8];
        if !memory.read(rsdp, &mut signature) || &signature != b"RSD PTR " {
            return None;
        }
        let revision = number::<1>(memory, rsdp + 15);
        let xsdt = if revision >= 2 { number::<8>(memory, rsdp + 24) } else { 0 };
        let (address, entry_size) = if xsdt != 0 { (xsdt, 8) } else { (number::<4>(memory, rsdp + 16), 4) };
        let root = Table { address, length: number::<4>(memory, address + 4) };
        Some(Tables { memory, root, entry_size })
    }

    /// The first table with this signature.
    pub fn table(&self, signature: &[u8; 4]) -> Option<Table> {
        let count = (self.root.length.saturating_sub(36) / self.entry_size).min(MAX_TABLES);
        (0..count).map(|index| self.entry(index)).find_map(|address| self.check(address, signature))
    }

    fn entry(&self, index: u64) -> u64 {
        let at = self.root.address + 36 + index * self.entry_size;
        if self.entry_size == 8 { number::<8>(self.memory, at) } else { number::<4>(self.memory, at) }
    }

    fn check(&self, address: u64, signature: &[u8; 4]) -> Option<Table> {
        let mut found = [0; 4];
        (address != 0 && self.memory.read(address, &mut found) && &found == signature)
            .then(|| Table { address, length: number::<4>(self.memory, address + 4) })
    }
}
