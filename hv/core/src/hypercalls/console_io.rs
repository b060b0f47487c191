//! `console_io` (18): the first domain's own console, and a line to the log for every other domain.

use abi::console::{OP_READ, OP_WRITE};
use abi::errno::Errno;

use crate::call::{Call, Outcome};
use crate::console::guest_lines::Line;
use crate::ids::DOM0;
use crate::machine::{Level, Machine};

/// How many bytes are copied in at once.
const CHUNK: usize = 128;

/// `CONSOLEIO_*` in RDI, the number of bytes in RSI, their address in RDX. Reading is for the first domain.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let [operation, count, address, ..] = args;
    // The count is an int in the header: its upper half means nothing.
    let count = u64::from(count as u32);
    match operation as u32 {
        OP_WRITE => write(call, count, address),
        OP_READ => read(call, count, address).into(),
        _ => Errno::NOSYS.into(),
    }
}

fn write<M: Machine>(call: &mut Call<'_, M>, count: u64, address: u64) -> Outcome {
    let (mut left, mut from) = (count, address);
    let mut chunk = [0; CHUNK];
    while left != 0 {
        let bytes = &mut chunk[..left.min(CHUNK as u64) as usize];
        if call.hv.machine.copy_from_guest(from, bytes).is_err() {
            return Errno::FAULT.into();
        }
        put(call, bytes);
        left -= bytes.len() as u64;
        from = from.wrapping_add(bytes.len() as u64);
        if left != 0 && call.hv.machine.interrupt_pending() {
            return Outcome::Again([u64::from(OP_WRITE), left, from, 0, 0]);
        }
    }
    Outcome::Done(0)
}

fn put<M: Machine>(call: &mut Call<'_, M>, bytes: &[u8]) {
    let id = call.who.domain;
    if id == DOM0 {
        return call.hv.machine.console_write(bytes);
    }
    let now = call.hv.machine.now();
    let machine = &call.hv.machine;
    let Some(domain) = call.hv.domains.get_mut(id) else { return };
    domain.console.write(bytes, now, |Line { text, dropped }| {
        if dropped != 0 {
            machine.log(Level::Guest, format_args!("(d{id}) [{dropped} lines dropped: too many a second]"));
        }
        machine.log(Level::Guest, format_args!("(d{id}) {text}"));
    });
}

/// Moves what was typed to the guest; the result is how many bytes.
fn read<M: Machine>(call: &mut Call<'_, M>, count: u64, address: u64) -> Result<i64, Errno> {
    if call.who.domain != DOM0 {
        return Err(Errno::PERM);
    }
    if count > i32::MAX as u64 {
        return Err(Errno::TOOBIG);
    }
    let mut moved = 0;
    while moved < count {
        let bytes = call.hv.console_input.front((count - moved) as usize);
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        call.hv.machine.copy_to_guest(address.wrapping_add(moved), bytes)?;
        call.hv.console_input.consume(length);
        moved += length as u64;
    }
    Ok(moved as i64)
}
