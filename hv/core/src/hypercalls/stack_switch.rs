//! `stack_switch` (3): the stack on which a guest kernel is entered from its user mode.

use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// Selector in RDI, stack pointer in RSI. The selector's RPL becomes 3, since guest kernels run there; the stack is checked when a
/// frame is pushed.
#[inline]
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let [selector, stack, ..] = args;
    let vcpu = call.vcpu();
    vcpu.kernel_ss = u64::from(selector as u16 | 3);
    vcpu.kernel_sp = stack;
    Outcome::Done(0)
}
