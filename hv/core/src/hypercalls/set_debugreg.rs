//! `set_debugreg` (8): breakpoints of the calling vCPU.

use crate::call::{Call, Outcome};
use crate::context::debug;
use crate::machine::Machine;

/// The register's number in RDI, its value in RSI.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let [number, value, ..] = args;
    let vcpu = call.vcpu();
    let checked = debug::resolve(number, vcpu.cr4).and_then(|number| Ok((number, debug::check(number, value)?)));
    match checked {
        Ok((number, value)) => {
            // DR6 changes by itself.
            if core::mem::replace(&mut vcpu.debug[number], value) != value || number == 6 {
                call.hv.machine.set_debug_register(number, value);
            }
            Outcome::Done(0)
        }
        Err(error) => error.into(),
    }
}
