//! What the boot code found out about the machine, for the control domain.

use crate::firmware::Ecam;

/// Facts that do not change.
#[derive(Clone, Copy)]
pub struct Platform {
    /// CPUs that the firmware lists.
    pub cpus_present: u32,
    /// PCI configuration ranges.
    pub ecam: [Option<Ecam>; abi::control::MAX_ECAM],
}

impl Platform {
    /// Nothing is known yet.
    pub const UNKNOWN: Platform = Platform { cpus_present: 1, ecam: [None; abi::control::MAX_ECAM] };
}
