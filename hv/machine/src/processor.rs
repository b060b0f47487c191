//! What this processor can do, and the control registers that follow from it.

use core::arch::{asm, x86_64::__cpuid_count};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::msr;
use crate::percpu::RUNNING_CPUS;

/// CR4 bits (SDM 3, 2.5).
mod cr4 {
    pub const DE: u64 = 1 << 3;
    pub const PAE: u64 = 1 << 5;
    pub const PGE: u64 = 1 << 7;
    pub const OSFXSR: u64 = 1 << 9;
    pub const OSXMMEXCPT: u64 = 1 << 10;
    pub const FSGSBASE: u64 = 1 << 16;
    pub const SMEP: u64 = 1 << 20;
    pub const SMAP: u64 = 1 << 21;
    pub const TSD: u64 = 1 << 2;
}

/// CR0 while the FPU may be used (SDM 3, 2.5): PG, AM, WP, NE, ET, MP, PE. Guests see the same.
const CR0: u64 = 0x8005_0033;
const CR0_TS: u64 = 8;

/// The CR4 bits that are the hypervisor's choice.
static CR4: AtomicU64 = AtomicU64::new(0);

/// CPUID as the processor answers.
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let result = __cpuid_count(leaf, subleaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// Turns on what the processor has: NX, SMEP, SMAP, global pages, FXSAVE; sets the PAT of the guest ABI.
pub fn init() {
    let highest = cpuid(0, 0)[0];
    let features = if highest >= 7 { cpuid(7, 0)[1] } else { 0 };
    let mut value = cr4::DE | cr4::PAE | cr4::PGE | cr4::OSFXSR | cr4::OSXMMEXCPT;
    if features & (1 << 7) != 0 {
        value |= cr4::SMEP;
    }
    if features & (1 << 20) != 0 {
        value |= cr4::SMAP;
        crate::uaccess::set_smap();
    }
    CR4.store(value, Ordering::Relaxed);
    // SAFETY: the bits are those that CPUID shows (FXSAVE, PGE, DE and PAE are part of x86-64); no user page is touched but by
    // `uaccess`; the PAT entries that the hypervisor uses (0: WB, 3: UC) are the same as at reset.
    unsafe {
        asm!("mov cr4, {}", in(reg) value, options(nostack));
        asm!("mov cr0, {}", in(reg) CR0, options(nostack));
        msr::write(msr::PAT, msr::PAT_VALUE);
        asm!("fninit", options(nostack));
    }
}

/// The CR4 bits that a guest may have for itself, if the processor has them.
pub fn guest_cr4_mask() -> u64 {
    let highest = cpuid(0, 0)[0];
    let fsgsbase = highest >= 7 && cpuid(7, 0)[1] & 1 != 0;
    cr4::TSD | cr4::DE | if fsgsbase { cr4::FSGSBASE } else { 0 }
}

/// Loads CR4 for a guest that asked for `guest`.
#[inline]
pub fn set_guest_cr4(guest: u64) {
    let own = CR4.load(Ordering::Relaxed) & !cr4::DE;
    let value = own | guest & (cr4::TSD | cr4::DE | cr4::FSGSBASE);
    // SAFETY: the hypervisor's bits stay; the guest's were masked by `guest_cr4_mask` when it set them and concern ring 3 and I/O
    // breakpoints only.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack)) };
}

/// Sets or clears CR0.TS.
#[inline]
pub fn set_task_switched(set: bool) {
    // SAFETY: only TS differs; the hypervisor uses no FPU but in `fpu`, which clears it first.
    unsafe {
        if set {
            asm!("mov cr0, {}", in(reg) CR0 | CR0_TS, options(nostack));
        } else {
            asm!("clts", options(nostack));
        }
    }
}

/// The address of the last page fault.
#[inline]
pub fn fault_address() -> u64 {
    let value: u64;
    // SAFETY: reading CR2 has no effect.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Reads DR6 and resets it to its inactive value.
pub fn take_debug_status() -> u64 {
    let value: u64;
    // SAFETY: DR6 is status alone.
    unsafe {
        asm!("mov {}, dr6", out(reg) value, options(nomem, nostack));
        asm!("mov dr6, {}", in(reg) 0xffff_0ff0u64, options(nomem, nostack));
    }
    value
}

/// Whether each CPU's DR7 has a breakpoint enabled.
static ARMED: [AtomicBool; RUNNING_CPUS] = [const { AtomicBool::new(false) }; RUNNING_CPUS];

/// Whether this CPU has a breakpoint enabled.
pub fn has_breakpoints() -> bool {
    ARMED[crate::percpu::id()].load(Ordering::Relaxed)
}

/// Loads a debug register.
pub fn set_debug_register(number: usize, value: u64) {
    if number == 7 {
        ARMED[crate::percpu::id()].store(value & 0xff != 0, Ordering::Relaxed);
    }
    // SAFETY: values come from `hv-core`, which lets no breakpoint lie in the hypervisor's range and sets no GD or reserved bit.
    unsafe {
        match number {
            0 => asm!("mov dr0, {}", in(reg) value, options(nomem, nostack)),
            1 => asm!("mov dr1, {}", in(reg) value, options(nomem, nostack)),
            2 => asm!("mov dr2, {}", in(reg) value, options(nomem, nostack)),
            3 => asm!("mov dr3, {}", in(reg) value, options(nomem, nostack)),
            6 => asm!("mov dr6, {}", in(reg) value, options(nomem, nostack)),
            7 => asm!("mov dr7, {}", in(reg) value, options(nomem, nostack)),
            _ => {}
        }
    }
}

/// Halts until an interrupt, with interrupts on only here.
pub fn halt() {
    // SAFETY: the caller (the idle loop) holds no lock, and interrupts find this CPU's stack valid; STI takes effect behind HLT, so no
    // wake-up is lost between the caller's check and the halt.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Stops this CPU for good.
pub fn stop() -> ! {
    loop {
        // SAFETY: with interrupts off only an NMI goes on, and comes back here.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}

/// The time-stamp counter.
#[inline(always)]
pub fn tsc() -> u64 {
    // SAFETY: every x86-64 processor has it, and CR4.TSD does not bind ring 0.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Saves the FPU.
#[inline]
pub fn save_fpu(area: &mut [u8; 512]) {
    debug_assert!((area.as_ptr() as usize).is_multiple_of(16));
    // SAFETY: the area has 512 bytes and lies at the start of a frame; TS is cleared so that FXSAVE does not fault.
    unsafe { asm!("clts", "fxsave64 [{}]", in(reg) area.as_mut_ptr(), options(nostack)) };
}

/// Loads the FPU. Where no exception is pending AMD's processors keep the last instruction's and operand's addresses, which would show
/// another guest's (XSA-52): so the last one is an instruction of ours.
#[inline]
pub fn load_fpu(area: &[u8; 512]) {
    // SAFETY: as in `save_fpu`; MXCSR was masked when a guest gave the area, so FXRSTOR does not fault. Nor does FILD, which reads the
    // area's first word: what was pending is cleared, and the stack emptied.
    unsafe { asm!("clts", "fnclex", "emms", "fild word ptr [{0}]", "fxrstor64 [{0}]", in(reg) area.as_ptr(), options(nostack)) };
}
