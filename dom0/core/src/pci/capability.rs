//! The list of capabilities: MSI-X and virtio's structures in full, the others by name.

use alloc::vec::Vec;

use super::{Address, ConfigSpace, STATUS_CAPABILITIES, register};

/// Capabilities of a function at most: as many as fit into its 256 bytes.
const MOST: usize = 48;
/// Where capabilities begin at the earliest.
const FIRST: u8 = 0x40;

/// One capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its offset in configuration space.
    pub offset: u8,
    /// What it is.
    pub kind: Kind,
}

/// A place behind a base address register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The register.
    pub bar: u8,
    /// Bytes from where it points.
    pub offset: u32,
}

/// Where one of virtio's structures lies (virtio 1.2, 4.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtioRegion {
    /// `cfg_type`: 1 common configuration, 2 notifications, 3 ISR, 4 the device's own.
    pub structure: u8,
    /// Where it lies.
    pub region: Region,
    /// Its length in bytes.
    pub bytes: u32,
    /// Notifications: bytes between the addresses of queues.
    pub multiplier: u32,
}

/// What a capability is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MSI-X (17).
    MsiX {
        /// Entries of the table.
        entries: u16,
        /// Interrupts go this way.
        enabled: bool,
        /// All entries are masked.
        masked: bool,
        /// The table.
        table: Region,
        /// The bits of what is pending.
        pending: Region,
    },
    /// A structure of virtio (9).
    Virtio(VirtioRegion),
    /// Any other, by its identifier.
    Other(u8),
}

/// The capabilities of a function, in their order. A list that leaves its range or goes round in circles ends there.
pub fn capabilities<C: ConfigSpace>(space: &C, at: Address, virtio: bool) -> Vec<Capability> {
    let mut found = Vec::new();
    if space.read(at, register::COMMAND) >> 16 & u32::from(STATUS_CAPABILITIES) == 0 {
        return found;
    }
    let mut offset = space.read(at, register::CAPABILITIES) as u8 & !3;
    while offset >= FIRST && found.len() < MOST {
        let head = space.read(at, offset);
        found.push(Capability { offset, kind: kind(space, at, offset, head, virtio) });
        offset = (head >> 8) as u8 & !3;
    }
    found
}

fn kind<C: ConfigSpace>(space: &C, at: Address, offset: u8, head: u32, virtio: bool) -> Kind {
    let word = |index: u8| offset.checked_add(4 * index).map(|register| space.read(at, register));
    let region = |word: u32| Region { bar: (word & 7) as u8, offset: word & !7 };
    let known = match head as u8 {
        17 => word(1).zip(word(2)).map(|(table, pending)| Kind::MsiX {
            entries: (head >> 16 & 0x7ff) as u16 + 1,
            enabled: head >> 31 != 0,
            masked: head >> 30 & 1 != 0,
            table: region(table),
            pending: region(pending),
        }),
        // The third byte is the length.
        9 if virtio && head >> 16 & 0xff >= 16 => virtio_region(head, word),
        _ => None,
    };
    known.unwrap_or(Kind::Other(head as u8))
}

fn virtio_region(head: u32, word: impl Fn(u8) -> Option<u32>) -> Option<Kind> {
    let region = Region { bar: word(1)? as u8, offset: word(2)? };
    let multiplier = if head >> 16 & 0xff >= 20 { word(4)? } else { 0 };
    Some(Kind::Virtio(VirtioRegion { structure: (head >> 24) as u8, region, bytes: word(3)?, multiplier }))
}
