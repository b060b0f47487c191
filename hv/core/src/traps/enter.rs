//! The doors from the shell: a system call, an exception.

use super::{deliver, exception};
use crate::call::{Call, Outcome};
use crate::hypercalls;
use crate::machine::Machine;

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

/// SYSCALL: a hypercall from guest-kernel mode, the guest's own system call from user mode.
#[inline]
pub fn system_call<M: Machine>(call: &mut Call<'_, M>) {
    if !call.vcpu().in_kernel {
        return deliver::deliver_system_call(call);
    }
    let regs = &*call.regs;
    let (number, args) = (regs.rax, [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8]);
    match hypercalls::dispatch(call, number, args) {
        Outcome::Done(value) => call.regs.rax = value as u64,
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

/// An exception of the running guest.
pub fn exception_entry<M: Machine>(call: &mut Call<'_, M>, info: ExceptionInfo) {
    exception::exception(call, info);
}
