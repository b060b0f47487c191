//! The two modes of a guest, kernel and user, which the processor cannot tell apart (both are ring 3): another page table, and the
//! other GS base.

use crate::ids::Mfn;
use crate::machine::Machine;
use crate::vcpu::Vcpu;

/// Switches the running vCPU to guest-kernel mode; no effect if it is there.
#[inline]
pub fn to_kernel<M: Machine>(machine: &M, vcpu: &mut Vcpu) {
    if !vcpu.in_kernel {
        vcpu.in_kernel = true;
        machine.swap_gs();
        machine.load_page_table(Mfn(vcpu.kernel_table));
    }
}

/// A guest has no page table for user mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoUserTable;

/// Switches the running vCPU to guest-user mode.
#[inline]
pub fn to_user<M: Machine>(machine: &M, vcpu: &mut Vcpu) -> Result<(), NoUserTable> {
    if vcpu.user_table == 0 {
        return Err(NoUserTable);
    }
    if vcpu.in_kernel {
        vcpu.in_kernel = false;
        machine.swap_gs();
        machine.load_page_table(Mfn(vcpu.user_table));
    }
    Ok(())
}
