//! What is looked at on every way back to a guest: does the machine end, shall another vCPU run, is there an event to deliver.

use super::deliver;
use crate::call::Call;
use crate::machine::Machine;
use crate::sched::{MachineExit, upcall};

/// What the shell shall do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Return to the guest whose registers are in `regs`.
    Guest,
    /// Ask the scheduler, exchange vCPUs, look again.
    Reschedule,
    /// End the machine.
    Exit(MachineExit),
}

/// True if the running vCPU can go on as it is: the common case, decided in a few instructions.
#[inline(always)]
pub fn quiet<M: Machine>(call: &Call<'_, M>) -> bool {
    !call.hv.cpus[call.cpu].reschedule && !pending(call)
}

/// Prepares the return of the running vCPU.
#[inline]
pub fn leave<M: Machine>(call: &mut Call<'_, M>) -> Way {
    if call.hv.cpus[call.cpu].reschedule {
        return reschedule(call);
    }
    if pending(call) {
        deliver::deliver_event(call);
        // The stack may have been bad, and the domain crashed.
        if call.hv.cpus[call.cpu].reschedule {
            return reschedule(call);
        }
    }
    Way::Guest
}

#[inline(always)]
fn pending<M: Machine>(call: &Call<'_, M>) -> bool {
    call.hv.vcpu(call.who).is_some_and(|vcpu| upcall::deliverable(&call.hv.machine, vcpu))
}

#[cold]
fn reschedule<M: Machine>(call: &mut Call<'_, M>) -> Way {
    call.hv.machine_exit.map_or(Way::Reschedule, Way::Exit)
}
