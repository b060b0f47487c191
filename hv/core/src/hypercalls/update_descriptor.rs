//! `update_descriptor`: one entry of a descriptor table, by machine address.

use abi::errno::Errno;

use crate::call::{Call, Outcome};
use crate::ids::Mfn;
use crate::machine::Machine;
use crate::mm::Stop;
use crate::mm::update::Slot;

/// `update_descriptor(machine_address, descriptor)`. -EINVAL if the address is not 8-aligned or not the caller's, or the descriptor
/// would give more than ring 3.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let [address, descriptor, ..] = args;
    if address & 7 != 0 {
        return Errno::INVAL.into();
    }
    let slot = Slot { table: Mfn::containing(address), index: (address as usize & 0xfff) >> 3 };
    let domain = call.who.domain;
    match call.hv.mm().update_descriptor(slot, descriptor, domain) {
        Ok(()) => Outcome::Done(0),
        Err(Stop::Error(error)) => error.into(),
        Err(Stop::Preempted) => {
            call.hv.mm().settle(domain);
            Outcome::Again(args)
        }
    }
}
