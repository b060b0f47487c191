//! Delivering a trap or an event to the running vCPU's own handler, or ending a domain that has none.

use core::sync::atomic::Ordering;

use abi::callback::{TYPE_EVENT, TYPE_SYSCALL, TYPE_SYSCALL32};
use abi::segment::FLAT_RING3_CS32;
use abi::trap::{FLAGS_MASK_EVENTS, HAS_ERROR_CODE, INVALID_OPCODE};

use super::bounce::{self, Between, Target};
use crate::call::Call;
use crate::ids::Mfn;
use crate::machine::{GuestFault, Machine};

/// `CALLBACKF_mask_events`.
const CALLBACK_MASKS: u64 = 1;

/// True if the processor pushes an error code for this exception.
fn has_error_code(vector: u8) -> bool {
    vector < 32 && HAS_ERROR_CODE >> vector & 1 != 0
}

/// Delivers exception `vector` to the guest's handler.
#[inline]
pub fn deliver_trap<M: Machine>(call: &mut Call<'_, M>, vector: u8, error_code: u32) {
    let between = if has_error_code(vector) { Between::ErrorCode(error_code) } else { Between::Nothing };
    raise(call, vector, between);
}

/// Enters the handler that the guest's trap table names for `vector`; a guest without one, or whose stack is gone, is crashed.
#[inline]
pub fn raise<M: Machine>(call: &mut Call<'_, M>, vector: u8, between: Between) {
    let vcpu = call.hv.domains.get_mut(call.who.domain).and_then(|domain| domain.vcpu_mut(call.who.vcpu));
    let vcpu = vcpu.expect("the caller exists while it runs");
    let trap = &vcpu.traps[usize::from(vector)];
    let target = Target { address: trap.address, mask_events: trap.flags & FLAGS_MASK_EVENTS != 0 };
    if target.address == 0 {
        return no_handler(call, vector, between);
    }
    let areas_stale = vcpu.time.areas_stale;
    let entered = bounce::bounce(&call.hv.machine, vcpu, call.regs, target, between);
    afterwards(call, target, entered, areas_stale);
}

/// What follows a bounce: a guest whose stack is gone is crashed; registered areas are brought up to date, since the kernel's page table
/// is loaded now.
#[inline(always)]
fn afterwards<M: Machine>(call: &mut Call<'_, M>, target: Target, entered: Result<(), GuestFault>, areas_stale: bool) {
    if entered.is_err() {
        bad_stack(call, target.address);
    } else if areas_stale {
        call.hv.publish_if_stale(call.who);
    }
}

/// Enters the guest's kernel at an entry that it registered, if it did; a guest whose stack is gone is crashed. False if there is none.
#[inline]
fn enter_callback<M: Machine>(call: &mut Call<'_, M>, kind: u16, mask_events: bool) -> bool {
    let vcpu = call.hv.domains.get_mut(call.who.domain).and_then(|domain| domain.vcpu_mut(call.who.vcpu));
    let vcpu = vcpu.expect("the caller exists while it runs");
    let callback = &vcpu.callbacks[usize::from(kind)];
    let target = Target { address: callback.address, mask_events: mask_events || callback.flags & CALLBACK_MASKS != 0 };
    if target.address == 0 {
        return false;
    }
    let areas_stale = vcpu.time.areas_stale;
    let entered = bounce::bounce(&call.hv.machine, vcpu, call.regs, target, Between::Nothing);
    afterwards(call, target, entered, areas_stale);
    true
}

#[cold]
fn bad_stack<M: Machine>(call: &mut Call<'_, M>, target: u64) {
    let (sp, rip) = (call.regs.rsp, call.regs.rip);
    let kernel_sp = call.vcpu().kernel_sp;
    call.hv.crash_domain(
        call.who.domain,
        format_args!("its kernel stack cannot be written (rsp {sp:#x}, kernel_sp {kernel_sp:#x}, rip {rip:#x}, entering {target:#x})"),
    );
}

#[cold]
fn no_handler<M: Machine>(call: &mut Call<'_, M>, vector: u8, between: Between) {
    let code = if let Between::ErrorCode(code) = between { code } else { 0 };
    let (rip, rsp) = (call.regs.rip, call.regs.rsp);
    let address = fault_address(call).unwrap_or(0);
    call.hv.crash_domain(
        call.who.domain,
        format_args!(
            "exception {vector} (error {code:#x}) at rip {rip:#x}, rsp {rsp:#x}, address {address:#x}, and it registered no handler for it"
        ),
    );
}

/// CR2 as `vcpu_info` has it: word 2 (`arch.cr2`).
fn fault_address<M: Machine>(call: &mut Call<'_, M>) -> Option<u64> {
    let vcpu = call.vcpu();
    let (mfn, word) = (Mfn(vcpu.info_mfn), vcpu.info_offset as usize / 8 + 2);
    mfn.is_some().then(|| call.hv.machine.word(mfn, word).load(Ordering::Relaxed))
}

/// Enters the guest's event handler; it masks upcalls, as its frame says whether they were. A guest that unmasks events without a
/// handler is not entered: it may still be polling.
pub fn deliver_event<M: Machine>(call: &mut Call<'_, M>) {
    enter_callback(call, TYPE_EVENT, true);
}

/// SYSCALL from guest-user mode: the guest's entry for it, or #UD at the instruction if it has none. Code in compatibility mode has
/// an entry of its own.
pub fn deliver_system_call<M: Machine>(call: &mut Call<'_, M>) {
    let kind = if call.regs.cs == FLAT_RING3_CS32 { TYPE_SYSCALL32 } else { TYPE_SYSCALL };
    if !enter_callback(call, kind, false) {
        call.regs.rip = call.regs.rip.wrapping_sub(2);
        deliver_trap(call, INVALID_OPCODE, 0);
    }
}
