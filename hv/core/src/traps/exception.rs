//! Which exceptions are the hypervisor's to resolve; the others are the guest's own.

use abi::trap::{DEBUG, GENERAL_PROTECTION, INVALID_OPCODE, NO_DEVICE, PAGE_FAULT};

use super::{deliver::deliver_trap, enter::ExceptionInfo, page_fault, privileged};
use crate::call::Call;
use crate::machine::Machine;

/// Resolves an exception, or delivers it.
pub fn exception<M: Machine>(call: &mut Call<'_, M>, info: ExceptionInfo) {
    match info.vector {
        PAGE_FAULT => page_fault::page_fault(call, info),
        GENERAL_PROTECTION => privileged::general_protection(call, info.error_code),
        INVALID_OPCODE => privileged::invalid_opcode(call),
        NO_DEVICE => no_device(call),
        DEBUG => debug(call, info.debug_status),
        vector => deliver_trap(call, vector, info.error_code),
    }
}

/// #NM: the guest set TS. It finds it clear in its handler (Xen's behaviour; Linux's `clts` there is then a no-op).
fn no_device<M: Machine>(call: &mut Call<'_, M>) {
    call.vcpu().task_switched = false;
    call.hv.machine.set_task_switched(false);
    deliver_trap(call, NO_DEVICE, 0);
}

/// #DB: what happened is in the guest's DR6.
fn debug<M: Machine>(call: &mut Call<'_, M>, status: u64) {
    const ACTIVE: u64 = 0xe00f;
    let debug = &mut call.vcpu().debug;
    debug[6] = debug[6] & !0xf | status & ACTIVE | 0xffff_0ff0;
    deliver_trap(call, DEBUG, 0);
}

/// The processor refused to return to the guest: a selector that is no usable segment, say. The guest gets the exception as if it came
/// from where it was to go on (as on Xen). Nothing there is emulated, but a page of the LDT may be missing.
/// True if the vCPU can go on as it is.
#[cold]
pub fn bad_return<M: Machine>(call: &mut Call<'_, M>, info: ExceptionInfo) -> bool {
    match info.vector {
        PAGE_FAULT => page_fault::page_fault(call, info),
        vector => deliver_trap(call, vector, info.error_code),
    }
    super::quiet(call)
}
