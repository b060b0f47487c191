//! `set_trap_table` (0): the virtual IDT of the calling vCPU.

use abi::errno::Errno;
use abi::layout::is_canonical;
use abi::trap::TrapInfo;

use crate::call::{Call, Outcome};
use crate::machine::Machine;

/// Entries between two looks at the interrupts: the list has no length, and a guest may loop through all of its memory.
const SLICE: u64 = 32;

/// The address of a list of entries in RDI, ended by one with address 0; NULL clears the table. Entries before a bad one stay.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let list = args[0];
    if list == 0 {
        call.vcpu().traps = [TrapInfo::default(); abi::trap::VECTORS];
        return Outcome::Done(0);
    }
    match install(call, list) {
        Ok(None) => Outcome::Done(0),
        Ok(Some(rest)) => Outcome::Again([rest, 0, 0, 0, 0]),
        Err(error) => error.into(),
    }
}

/// Takes entries from `list` on; tells where it stopped if more follow.
fn install<M: Machine>(call: &mut Call<'_, M>, list: u64) -> Result<Option<u64>, Errno> {
    for index in 0.. {
        let address = Call::<M>::element(list, index, size_of::<TrapInfo>())?;
        if index != 0 && index % SLICE == 0 && call.hv.machine.interrupt_pending() {
            return Ok(Some(address));
        }
        let mut entry: TrapInfo = call.read(address)?;
        if entry.address == 0 {
            break;
        }
        if !is_canonical(entry.address) {
            return Err(Errno::INVAL);
        }
        entry.cs |= 3;
        entry._pad = 0;
        call.vcpu().traps[usize::from(entry.vector)] = entry;
    }
    Ok(None)
}
