//! The doors from the shell: a system call, an exception.

use super::{deliver, exception, privileged, quiet};
use crate::call::{Call, Outcome};
use crate::hypercalls::{self, iret};
use crate::machine::Machine;
use crate::sched::upcall;

/// What the processor told of an exception besides the registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExceptionInfo {
    /// Which.
    pub vector: u8,
    /// The error code, 0 if it has none.
    pub error_code: u32,
    /// CR2, valid for a page fault.
    pub fault_address: u64,
    /// DR6, valid for a debug exception.
    pub debug_status: u64,
}

/// SYSCALL: a hypercall from guest-kernel mode, the guest's own system call from user mode. True if the vCPU can go on as it is; else
/// [`super::leave()`] must look.
#[inline]
pub fn system_call<M: Machine>(call: &mut Call<'_, M>) -> bool {
    let vcpu = call.hv.domains.get_mut(call.who.domain).and_then(|domain| domain.vcpu_mut(call.who.vcpu));
    let vcpu = vcpu.expect("the caller exists while it runs");
    if !vcpu.in_kernel {
        deliver::deliver_system_call(call);
        return quiet(call);
    }
    // The way back from every trap is the most frequent call; it needs neither table nor outcome.
    if call.regs.rax == abi::hypercall::IRET && iret::attempt(&call.hv.machine, vcpu, call.regs).is_ok() {
        return !call.hv.cpus[call.cpu].reschedule && !upcall::deliverable(&call.hv.machine, vcpu);
    }
    hypercall(call);
    quiet(call)
}

#[inline]
fn hypercall<M: Machine>(call: &mut Call<'_, M>) {
    let regs = &*call.regs;
    let (number, args) = (regs.rax, [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8]);
    match hypercalls::dispatch(call, number, args) {
        Outcome::Done(value) => {
            call.regs.rax = value as u64;
            // Xen returns by SYSRET, behind which the processor traps at once: the call is one step.
            privileged::single_step(call);
        }
        Outcome::Again(args) => again(call, args),
        Outcome::Replaced | Outcome::Gone => {}
    }
}

/// The guest executes the same SYSCALL again, with the arguments of what is left to do.
fn again<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) {
    let regs = &mut *call.regs;
    regs.rip = regs.rip.wrapping_sub(2);
    [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8] = args;
}

/// An exception of the running guest. True if the vCPU can go on as it is.
#[inline]
pub fn exception_entry<M: Machine>(call: &mut Call<'_, M>, info: ExceptionInfo) -> bool {
    exception::exception(call, info);
    quiet(call)
}
