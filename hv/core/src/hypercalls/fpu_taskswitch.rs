//! `fpu_taskswitch` (5): sets or clears CR0.TS, so that a guest kernel learns of the next use of the FPU.

use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// Not 0 in RDI (an int) sets the flag.
#[inline]
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let set = args[0] as u32 != 0;
    call.vcpu().task_switched = set;
    call.hv.machine.set_task_switched(set);
    Outcome::Done(0)
}
