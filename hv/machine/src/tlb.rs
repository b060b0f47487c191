//! Dropping translations, here and on other CPUs.
//!
//! A CPU asks others by setting their mailbox and sending an interrupt, then waits for the acknowledgement. Since interrupts are off
//! in the hypervisor, whoever spins for anything serves its own mailbox meanwhile ([`Relax`]): no two CPUs wait for each other.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use hv_core::ids::{CpuMask, MAX_CPUS};
use hv_core::machine::Flush;

/// Flushes asked of each CPU and not yet done.
static MAILBOX: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];

/// What a spinning CPU does between two looks.
pub struct Relax;

impl spin::RelaxStrategy for Relax {
    #[inline(always)]
    fn relax() {
        serve(crate::percpu::id());
        core::hint::spin_loop();
    }
}

/// Does what was asked of this CPU.
pub fn serve(cpu: usize) {
    if MAILBOX[cpu].swap(false, Ordering::AcqRel) {
        local(Flush::All);
    }
}

/// Drops translations on the CPUs in `cpus` and waits for those that are not this one.
#[inline]
pub fn flush(cpus: CpuMask, what: Flush) {
    let here = crate::percpu::id();
    let online = crate::percpu::online();
    let others = cpus.0 & online & !(1 << here);
    if others != 0 {
        ask(others);
    }
    if cpus.0 & (1 << here) != 0 {
        local(what);
    }
}

#[cold]
fn ask(others: u64) {
    for (cpu, mailbox) in MAILBOX.iter().enumerate() {
        if others & (1 << cpu) != 0 {
            mailbox.store(true, Ordering::Release);
            crate::apic::kick(cpu);
        }
    }
    for (cpu, mailbox) in MAILBOX.iter().enumerate() {
        while others & (1 << cpu) != 0 && mailbox.load(Ordering::Acquire) {
            <Relax as spin::RelaxStrategy>::relax();
        }
    }
}

/// Drops translations of this CPU. Guests' entries are never global, so a reload of CR3 drops them all and keeps the hypervisor's.
#[inline]
pub fn local(what: Flush) {
    match what {
        Flush::All => {
            // SAFETY: loading CR3 with its own value changes no translation of the hypervisor, only empties the cache.
            unsafe { asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack, preserves_flags)) }
        }
        Flush::Page(address) => {
            // SAFETY: INVLPG drops a cached translation; for a non-canonical address it does nothing.
            unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) }
        }
    }
}
