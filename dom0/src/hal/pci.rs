//! PCI configuration space, bus by bus through ECAM (PCI Express Base Specification 5.0, 7.2.2), and the functions found in it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use abi::control::Ecam;
use abi::{Errno, layout::PAGE_SIZE};
use dom0_core::pci::{Address, ConfigSpace, Function, scan_segment};
use dom0_core::virtio::Registers;
use pv_guest_sdk::control;

use super::registers::Mapped;

/// Functions of a bus, each with a page.
const FUNCTIONS: usize = 256;

/// Configuration space, as far as it is mapped.
pub struct Pci {
    buses: BTreeMap<(u16, u8), Mapped>,
}

impl Pci {
    /// Finds the machine's functions.
    ///
    /// # Errors
    /// What the hypervisor returns if it does not tell where configuration space lies. A bus that it does not let us map is left out.
    pub fn scan() -> Result<(Self, Vec<Function>), Errno> {
        let info = control::machine_info()?;
        let mut pci = Self { buses: BTreeMap::new() };
        let mut functions = Vec::new();
        for ecam in info.ecam.iter().take(info.ecam_count as usize) {
            let enter = |pci: &mut Self, bus| pci.map(ecam, bus).is_ok();
            functions.extend(scan_segment(&mut pci, ecam.segment, ecam.bus_start, ecam.bus_end, enter));
        }
        Ok((pci, functions))
    }

    fn map(&mut self, ecam: &Ecam, bus: u8) -> Result<(), Errno> {
        // The base is that of bus 0, whatever the first bus is.
        let bytes = FUNCTIONS * PAGE_SIZE;
        let mapped = Mapped::new(ecam.base + u64::from(bus) * bytes as u64, bytes)?;
        self.buses.insert((ecam.segment, bus), mapped);
        Ok(())
    }
}

fn offset(at: Address, register: u8) -> usize {
    usize::from(at.devfn) * PAGE_SIZE + usize::from(register & !3)
}

impl ConfigSpace for Pci {
    fn read(&self, at: Address, register: u8) -> u32 {
        self.buses.get(&(at.segment, at.bus)).map_or(u32::MAX, |bus| bus.get32(offset(at, register)))
    }

    fn write(&mut self, at: Address, register: u8, value: u32) {
        if let Some(bus) = self.buses.get(&(at.segment, at.bus)) {
            bus.set32(offset(at, register), value);
        }
    }
}
