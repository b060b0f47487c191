//! What the boot code found out about the machine, for the control domain.

use crate::firmware::Ecam;

/// Facts that do not change.
#[derive(Clone, Copy)]
pub struct Platform {
    /// CPUs that the firmware lists.
    pub cpus_present: u32,
    /// PCI configuration ranges.
    pub ecam: [Option<Ecam>; abi::control::MAX_ECAM],
    /// The hypervisor's own devices, by physical address: first byte and the one behind the last. No domain gets them.
    pub own_devices: [Option<(u64, u64)>; MAX_OWN_DEVICES],
}

/// Ranges of the hypervisor's own devices at most: the interrupt window, I/O APICs.
pub const MAX_OWN_DEVICES: usize = 16;

impl Platform {
    /// Nothing is known yet.
    pub const UNKNOWN: Platform = Platform { cpus_present: 1, ecam: [None; abi::control::MAX_ECAM], own_devices: [None; MAX_OWN_DEVICES] };
}
