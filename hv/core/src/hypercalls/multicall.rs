//! `multicall` (13): a batch of hypercalls in one entry. Linux collects page-table updates and switches address spaces with it.

use core::mem::offset_of;

use abi::errno::Errno;
use abi::hypercall::MULTICALL;
use abi::multicall::MulticallEntry;
use zerocopy::IntoBytes;

use super::dispatch;
use crate::call::{Call, Outcome};
use crate::machine::{GuestFault, Machine};

/// Calls between two looks at the interrupts.
const SLICE: u64 = 8;

/// The address of the entries in RDI, their number in RSI. Each entry is copied in once; its result is written back before the next is
/// read. The batch ends early, with what the call itself says, if a call leaves the caller's registers or the caller behind (XSA-213).
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let [list, count, ..] = args;
    // An unsigned int in the header.
    let count = u64::from(count as u32);
    for index in 0..count {
        let Ok(address) = Call::<M>::element(list, index, size_of::<MulticallEntry>()) else {
            return Errno::FAULT.into();
        };
        let rest = [address, count - index, 0, 0, 0];
        if index != 0 && index % SLICE == 0 && call.hv.machine.interrupt_pending() {
            return Outcome::Again(rest);
        }
        match one(call, address) {
            Ok(Outcome::Done(_)) => {}
            Ok(Outcome::Again(_)) => return Outcome::Again(rest),
            Ok(end) => return end,
            Err(GuestFault) => return Errno::FAULT.into(),
        }
    }
    Outcome::Done(0)
}

/// Does one call of the batch, and writes its result, or the arguments with which it is to be continued, into its entry.
#[inline]
fn one<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<Outcome, GuestFault> {
    let entry: MulticallEntry = call.read(address)?;
    let [a, b, c, d, e, _] = entry.args;
    let outcome = match entry.op {
        MULTICALL => Errno::INVAL.into(),
        number => dispatch(call, number, [a, b, c, d, e]),
    };
    match outcome {
        Outcome::Done(result) => put(call, address, offset_of!(MulticallEntry, result), result.as_bytes())?,
        Outcome::Again(args) => put(call, address, offset_of!(MulticallEntry, args), args.as_bytes())?,
        Outcome::Replaced | Outcome::Gone => {}
    }
    Ok(outcome)
}

#[inline]
fn put<M: Machine>(call: &Call<'_, M>, entry: u64, offset: usize, bytes: &[u8]) -> Result<(), GuestFault> {
    let address = entry.checked_add(offset as u64).ok_or(GuestFault)?;
    call.hv.machine.copy_to_guest(address, bytes)
}
