//! `iret`: back from a trap, to user mode or within the kernel, with the frame at RSP (`arch-x86/xen-x86_64.h`, `struct iret_context`).

use abi::context::{IretContext, VGCF_IN_SYSCALL};
use abi::vm_assist::TYPE_ARCHITECTURAL_IOPL;

use crate::call::{Call, Outcome};
use crate::ids::Mfn;
use crate::machine::{GuestFault, Machine};
use crate::traps::bounce::{IF, IOPL};
use crate::traps::mode;

/// RFLAGS bits that a guest never gets: VM and IOPL; bit 1 is always set.
const VM: u64 = 1 << 17;
const RESERVED_ONE: u64 = 2;

/// Replaces the caller's registers by the frame; crashes a guest whose frame cannot be read, or that has no user page table.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, _: [u64; 5]) -> Outcome {
    let rsp = call.regs.rsp;
    let Ok(frame) = read_frame(call, rsp) else {
        call.hv.crash_domain(call.who.domain, format_args!("iret: its frame at {rsp:#x} cannot be read"));
        return Outcome::Gone;
    };
    if frame.cs & 3 == 3 && enter_user(call).is_err() {
        call.hv.crash_domain(call.who.domain, format_args!("iret to user mode without a user page table (MMUEXT_NEW_USER_BASEPTR)"));
        return Outcome::Gone;
    }
    restore(call, &frame);
    Outcome::Replaced
}

#[inline(always)]
fn read_frame<M: Machine>(call: &Call<'_, M>, rsp: u64) -> Result<IretContext, GuestFault> {
    let [rax, r11, rcx, flags, rip, cs, rflags, rsp, ss] = call.hv.machine.read_words(rsp)?;
    Ok(IretContext { rax, r11, rcx, flags, rip, cs, rflags, rsp, ss })
}

fn enter_user<M: Machine>(call: &mut Call<'_, M>) -> Result<(), mode::NoUserTable> {
    let vcpu = call.hv.domains.get_mut(call.who.domain).and_then(|domain| domain.vcpu_mut(call.who.vcpu));
    mode::to_user(&call.hv.machine, vcpu.expect("the caller exists while it runs"))
}

fn restore<M: Machine>(call: &mut Call<'_, M>, frame: &IretContext) {
    if call.domain().assists >> TYPE_ARCHITECTURAL_IOPL & 1 != 0 {
        call.vcpu().iopl = (frame.rflags & IOPL) as u16;
    }
    let regs = &mut *call.regs;
    regs.rip = frame.rip;
    regs.cs = frame.cs as u16 | 3;
    regs.rflags = frame.rflags & !(IOPL | VM) | IF | RESERVED_ONE;
    regs.rsp = frame.rsp;
    regs.ss = frame.ss as u16 | 3;
    regs.rax = frame.rax;
    // A return by SYSRET leaves RIP and RFLAGS in these two.
    let by_sysret = frame.flags & VGCF_IN_SYSCALL != 0;
    (regs.rcx, regs.r11) = if by_sysret { (regs.rip, regs.rflags) } else { (frame.rcx, frame.r11) };
    set_upcall_mask(call, frame.rflags & IF == 0);
}

fn set_upcall_mask<M: Machine>(call: &mut Call<'_, M>, masked: bool) {
    let vcpu = call.vcpu();
    let (mfn, index) = (Mfn(vcpu.info_mfn), vcpu.info_offset as usize / 8);
    if mfn.is_some() {
        let word = call.hv.machine.word(mfn, index);
        match masked {
            true => word.fetch_or(0x100, core::sync::atomic::Ordering::SeqCst),
            false => word.fetch_and(!0xff00, core::sync::atomic::Ordering::SeqCst),
        };
    }
}
