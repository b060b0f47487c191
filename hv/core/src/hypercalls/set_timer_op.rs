//! `set_timer_op` (15): the one-shot timer of the calling vCPU, as kernels set it that do not use `vcpu_op`.

use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// The system time in nanoseconds at which to fire in RDI; 0 stops the timer.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    call.hv.set_timer(call.who, args[0]);
    call.hv.arm_timer(call.cpu);
    Outcome::Done(0)
}
