//! One function of a device, read once.

use alloc::vec::Vec;

use super::bar::bars;
use super::capability::capabilities;
use super::{Address, Bar, BarKind, Capability, ConfigSpace, Kind, Region, VirtioRegion, register};

/// The vendor of virtio's devices: Red Hat.
pub const VIRTIO_VENDOR: u16 = 0x1af4;

/// The buses of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// The bus that it sits on.
    pub primary: u8,
    /// The bus behind it.
    pub secondary: u8,
    /// The last bus behind it.
    pub subordinate: u8,
}

/// One function of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it sits.
    pub at: Address,
    /// Vendor.
    pub vendor: u16,
    /// Device, a number of the vendor's.
    pub device: u16,
    /// Class (bits 23-16), subclass, programming interface.
    pub class: u32,
    /// Revision.
    pub revision: u8,
    /// Vendor and number of the card, if it tells.
    pub subsystem: Option<(u16, u16)>,
    /// The command register, as it was found.
    pub command: u16,
    /// The line that firmware gave INTx, and the pin, if it has one.
    pub interrupt: Option<(u8, u8)>,
    /// Where its registers are.
    pub bars: Vec<Bar>,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// Its buses, if it is a bridge.
    pub bridge: Option<Bridge>,
}

impl Function {
    /// Reads a function; none if there is none. Its base address registers are sized, so nobody may be using it.
    pub fn read<C: ConfigSpace>(space: &mut C, at: Address) -> Option<Self> {
        let id = space.read(at, register::ID);
        let vendor = id as u16;
        if vendor == 0xffff {
            return None;
        }
        let class = space.read(at, register::CLASS);
        let header = (space.read(at, register::HEADER) >> 16) as u8 & 0x7f;
        let subsystem = (header == 0).then(|| space.read(at, register::SUBSYSTEM)).filter(|&word| word as u16 != 0);
        let interrupt = space.read(at, register::INTERRUPT);
        let (line, pin) = (interrupt as u8, (interrupt >> 8) as u8);
        let bar_count = match header {
            0 => 6,
            1 => 2,
            _ => 0,
        };
        Some(Self {
            at,
            vendor,
            device: (id >> 16) as u16,
            class: class >> 8,
            revision: class as u8,
            subsystem: subsystem.map(|word| (word as u16, (word >> 16) as u16)),
            command: space.read(at, register::COMMAND) as u16,
            interrupt: (1..=4).contains(&pin).then_some((line, pin)),
            bars: bars(space, at, bar_count),
            capabilities: capabilities(space, at, vendor == VIRTIO_VENDOR),
            bridge: (header == 1).then(|| buses(space.read(at, register::BUSES))),
        })
    }

    /// The same with what changes while a driver uses it: the command register and the capabilities.
    #[must_use]
    pub fn refreshed<C: ConfigSpace>(&self, space: &C) -> Self {
        Self {
            command: space.read(self.at, register::COMMAND) as u16,
            capabilities: capabilities(space, self.at, self.vendor == VIRTIO_VENDOR),
            ..self.clone()
        }
    }

    /// The base address register with this number.
    pub fn bar(&self, index: u8) -> Option<&Bar> {
        self.bars.iter().find(|bar| bar.index == index)
    }

    /// The machine address of `bytes` bytes of device memory; none if the region has no place or ends beyond its register's.
    pub fn memory(&self, region: Region, bytes: u64) -> Option<u64> {
        let bar = self.bar(region.bar).filter(|bar| bar.kind != BarKind::Io && bar.address != 0)?;
        let end = u64::from(region.offset).checked_add(bytes)?;
        (end <= bar.bytes).then(|| bar.address.checked_add(region.offset.into()))?
    }

    /// How many entries the MSI-X table has; 0 without one.
    pub fn msix_entries(&self) -> u16 {
        let entries = |capability: &Capability| match capability.kind {
            Kind::MsiX { entries, .. } => Some(entries),
            _ => None,
        };
        self.capabilities.iter().find_map(entries).unwrap_or(0)
    }

    /// The first of virtio's structures of this type.
    pub fn virtio(&self, structure: u8) -> Option<VirtioRegion> {
        self.capabilities.iter().find_map(|capability| match capability.kind {
            Kind::Virtio(region) if region.structure == structure => Some(region),
            _ => None,
        })
    }

    /// Which kind of virtio device it is (2 is a disk), transitional or not.
    pub fn virtio_type(&self) -> Option<u16> {
        match self.device {
            _ if self.vendor != VIRTIO_VENDOR => None,
            0x1000 => Some(1),
            0x1001 => Some(2),
            0x1002 => Some(5),
            0x1003 => Some(3),
            0x1004 => Some(8),
            0x1005 => Some(4),
            0x1009 => Some(9),
            0x1040..=0x107f => Some(self.device - 0x1040),
            _ => None,
        }
    }
}

fn buses(word: u32) -> Bridge {
    Bridge { primary: word as u8, secondary: (word >> 8) as u8, subordinate: (word >> 16) as u8 }
}
