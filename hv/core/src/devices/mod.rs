//! Devices: which device memory a domain may map, and the PCI functions that it may not reach all of.
//!
//! The hypervisor drives no device of PCI. It keeps from the domains that do what would let them interrupt a processor as they please: the
//! interrupt controllers, and the MSI-X tables, which say where a function's interrupts are written to. (A device reads and writes
//! memory as its driver tells it, unchecked: there is no IOMMU. So a domain with devices is trusted with the machine, and these checks
//! keep its mistakes small; they do not fence it in.)

pub mod msi;
mod msix;
mod pci;
mod permit;

pub use pci::Function;
pub use permit::{Range, permit, withdraw};

/// What the hypervisor knows of devices.
pub struct Devices {
    msix: msix::Functions,
    messages: msi::Messages,
}

impl Devices {
    /// Nothing was looked for yet.
    pub const fn new() -> Self {
        Devices { msix: msix::Functions::new(), messages: msi::Messages::new() }
    }
}

impl Default for Devices {
    fn default() -> Self {
        Self::new()
    }
}
