//! Control registers as a PV guest sees them: mostly the hypervisor's choice, with a few bits of the guest's own.

/// CR0.TS.
pub const CR0_TS: u64 = 1 << 3;
/// CR4.TSD: RDTSC is privileged.
pub const CR4_TSD: u64 = 1 << 2;
/// CR4.DE: I/O breakpoints, no DR4 and DR5.
pub const CR4_DE: u64 = 1 << 3;
/// CR4.PAE.
pub const CR4_PAE: u64 = 1 << 5;
/// CR4.MCE.
pub const CR4_MCE: u64 = 1 << 6;
/// CR4.OSFXSR.
pub const CR4_OSFXSR: u64 = 1 << 9;
/// CR4.OSXMMEXCPT.
pub const CR4_OSXMMEXCPT: u64 = 1 << 10;
/// CR4.FSGSBASE: guests may move segment bases without a trap.
pub const CR4_FSGSBASE: u64 = 1 << 16;

/// PE, MP, ET, NE, WP, AM and PG: what a 64-bit kernel runs with.
const CR0_FIXED: u64 = 0x8005_0033;

/// What every guest sees set in CR4, whatever it writes.
const CR4_FIXED: u64 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

/// The value that MOV from CR0 gives.
pub fn cr0(task_switched: bool) -> u64 {
    CR0_FIXED | if task_switched { CR0_TS } else { 0 }
}

/// MOV to CR0: the new TS, or `None` if the guest wants to change anything else (then it gets its fault back).
pub fn write_cr0(value: u64) -> Option<bool> {
    (value & !CR0_TS == CR0_FIXED).then_some(value & CR0_TS != 0)
}

/// The CR4 that a guest has after asking for `value`: TSD and DE are its own, FSGSBASE too where `fsgsbase` (the machine has it and
/// CPUID shows it), the rest is fixed. Bits that it may not have are dropped, not refused; Linux sets several and does not look back.
pub fn guest_cr4(value: u64, fsgsbase: bool) -> u64 {
    let own = CR4_TSD | CR4_DE | if fsgsbase { CR4_FSGSBASE } else { 0 };
    value & own | CR4_FIXED
}

/// The bits of a guest's CR4 that must be in the hardware's while it runs.
pub fn hardware_cr4_bits(guest_cr4: u64) -> u64 {
    guest_cr4 & (CR4_TSD | CR4_DE | CR4_FSGSBASE)
}
