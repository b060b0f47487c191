//! `get_debugreg` (9): reads a debug register of the calling vCPU.

use crate::call::{Call, Outcome};
use crate::context::debug;
use crate::machine::Machine;

/// The register's number in RDI; the result is its value.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let vcpu = call.vcpu();
    debug::resolve(args[0], vcpu.cr4).map(|number| vcpu.debug[number] as i64).into()
}
