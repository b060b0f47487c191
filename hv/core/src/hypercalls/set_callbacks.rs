//! `set_callbacks` (4): the three entry points of [`super::callback_op`] in one call, as small kernels use it.

use abi::callback::{TYPE_EVENT, TYPE_FAILSAFE, TYPE_SYSCALL};

use super::callback_op::register;
use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// Addresses of the event, failsafe and syscall callbacks in RDI, RSI, RDX. As on Xen one that is not canonical is left out without an
/// error.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let [event, failsafe, syscall, ..] = args;
    let vcpu = call.vcpu();
    for (kind, address) in [(TYPE_EVENT, event), (TYPE_FAILSAFE, failsafe), (TYPE_SYSCALL, syscall)] {
        let _ = register(vcpu, kind, 0, address);
    }
    Outcome::Done(0)
}
