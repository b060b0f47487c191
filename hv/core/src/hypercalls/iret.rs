//! `iret`: back from a trap, to user mode or within the kernel, with the frame at RSP (`arch-x86/xen-x86_64.h`, `struct iret_context`).
//!
//! Every trap of a guest ends here, so [`attempt`] works on the vCPU at hand and does nothing but what it must; [`handler`] tries it and
//! deals with the guest for which it cannot be done.

use core::sync::atomic::Ordering;

use abi::context::{CpuUserRegs, VGCF_IN_SYSCALL};

use crate::call::{Call, Outcome};
use crate::ids::Mfn;
use crate::machine::Machine;
use crate::traps::bounce::{IF, IOPL};
use crate::traps::mode;
use crate::vcpu::Vcpu;

/// RFLAGS bits that a guest never gets: VM and IOPL; bit 1 is always set.
const VM: u64 = 1 << 17;
const RESERVED_ONE: u64 = 2;

/// Why the guest cannot return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoReturn {
    /// Its frame cannot be read.
    Frame,
    /// It has no page table for user mode.
    UserTable,
}

/// Replaces the caller's registers by the frame; crashes a guest whose frame cannot be read, or that has no user page table.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, _: [u64; 5]) -> Outcome {
    let vcpu = call.hv.domains.get_mut(call.who.domain).and_then(|domain| domain.vcpu_mut(call.who.vcpu));
    let vcpu = vcpu.expect("the caller exists while it runs");
    let Err(why) = attempt(&call.hv.machine, vcpu, call.regs) else { return Outcome::Replaced };
    let (domain, rsp) = (call.who.domain, call.regs.rsp);
    match why {
        NoReturn::Frame => call.hv.crash_domain(domain, format_args!("iret: its frame at {rsp:#x} cannot be read")),
        NoReturn::UserTable => {
            call.hv.crash_domain(domain, format_args!("iret to user mode without a user page table (MMUEXT_NEW_USER_BASEPTR)"));
        }
    }
    Outcome::Gone
}

/// Replaces the running vCPU's registers by the frame at its RSP.
///
/// # Errors
/// See [`NoReturn`]; nothing has changed then.
#[inline(always)]
pub fn attempt<M: Machine>(machine: &M, vcpu: &mut Vcpu, regs: &mut CpuUserRegs) -> Result<(), NoReturn> {
    let [rax, r11, rcx, flags, rip, cs, rflags, rsp, ss] = machine.read_words(regs.rsp).map_err(|_| NoReturn::Frame)?;
    if cs & 3 == 3 {
        mode::to_user(machine, vcpu).map_err(|_| NoReturn::UserTable)?;
    }
    if vcpu.shows_iopl {
        vcpu.iopl = (rflags & IOPL) as u16;
    }
    regs.rip = rip;
    regs.cs = cs as u16 | 3;
    regs.rflags = rflags & !(IOPL | VM) | IF | RESERVED_ONE;
    regs.rsp = rsp;
    regs.ss = ss as u16 | 3;
    regs.rax = rax;
    // A return by SYSRET leaves RIP and RFLAGS in these two.
    let by_sysret = flags & VGCF_IN_SYSCALL != 0;
    (regs.rcx, regs.r11) = if by_sysret { (regs.rip, regs.rflags) } else { (rcx, r11) };
    set_upcall_mask(machine, vcpu, rflags & IF == 0);
    Ok(())
}

#[inline(always)]
fn set_upcall_mask<M: Machine>(machine: &M, vcpu: &Vcpu, masked: bool) {
    let mfn = Mfn(vcpu.info_mfn);
    if mfn.is_some() {
        let word = machine.word(mfn, vcpu.info_offset as usize / 8);
        match masked {
            true => word.fetch_or(0x100, Ordering::SeqCst),
            false => word.fetch_and(!0xff00, Ordering::SeqCst),
        };
    }
}
