//! Model-specific and control registers that the hypervisor itself uses, by name (Intel SDM volume 4, AMD APM volume 2).

use core::arch::asm;

/// Local APIC base.
pub const APIC_BASE: u32 = 0x1b;
/// Page attribute table.
pub const PAT: u32 = 0x277;
/// Deadline of the LAPIC timer in TSC-deadline mode.
pub const TSC_DEADLINE: u32 = 0x6e0;
/// Extended features.
pub const EFER: u32 = 0xc000_0080;
/// SYSCALL selectors.
pub const STAR: u32 = 0xc000_0081;
/// SYSCALL target, 64-bit.
pub const LSTAR: u32 = 0xc000_0082;
/// SYSCALL target, compatibility mode.
pub const CSTAR: u32 = 0xc000_0083;
/// RFLAGS bits that SYSCALL clears.
pub const FMASK: u32 = 0xc000_0084;
/// FS base.
pub const FS_BASE: u32 = 0xc000_0100;
/// Active GS base.
pub const GS_BASE: u32 = 0xc000_0101;
/// GS base that SWAPGS exchanges.
pub const KERNEL_GS_BASE: u32 = 0xc000_0102;

/// The PAT that every guest sees on every CPU (facts, part 3): WB, WT, UC-, UC, WC, WP, UC, UC.
pub const PAT_VALUE: u64 = 0x0000_0501_0007_0406;

/// Reads a register that exists.
#[inline(always)]
pub fn read(msr: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the constants above exist on every x86-64 processor (the TSC deadline is used only when CPUID shows it); reading has no effect.
    unsafe { asm!("rdmsr", in("ecx") msr, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Reads a register that may not exist.
pub fn try_read(msr: u32) -> Option<u64> {
    let (low, high, missing): (u32, u32, u32);
    // SAFETY: reading has no effect; if the register does not exist the fault goes to label 3 through the exception table.
    unsafe {
        asm!(
            "2: rdmsr",
            "xor {missing:e}, {missing:e}",
            "jmp 4f",
            "3: mov {missing:e}, 1",
            "4:",
            ".pushsection .ex_table, \"a\"",
            ".long 2b - ., 3b - .",
            ".popsection",
            missing = out(reg) missing,
            in("ecx") msr,
            out("eax") low,
            out("edx") high,
            options(nostack),
        );
    }
    (missing == 0).then_some(u64::from(high) << 32 | u64::from(low))
}

/// Writes a register.
///
/// # Safety
/// The register exists, and the value keeps the hypervisor's own environment: entry points, paging and interrupts.
#[inline(always)]
pub unsafe fn write(msr: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("wrmsr", in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags)) };
}
