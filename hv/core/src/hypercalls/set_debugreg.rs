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
            let changes = core::mem::replace(&mut vcpu.debug[number], value) != value || number == 6;
            // The others may hold another vCPU's: they are loaded with a vCPU only if it has breakpoints enabled.
            if changes && number == 7 && value & debug::ENABLES != 0 {
                let addresses = vcpu.debug;
                (0..4).for_each(|number| call.hv.machine.set_debug_register(number, addresses[number]));
            }
            if changes {
                call.hv.machine.set_debug_register(number, value);
            }
            Outcome::Done(0)
        }
        Err(error) => error.into(),
    }
}
