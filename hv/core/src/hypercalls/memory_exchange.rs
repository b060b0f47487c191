//! `memory_op` exchange: a domain gives frames and gets others for them, adjacent ones above all, as devices without an IOMMU want them.
//!
//! It goes in chunks, each of the larger of the two orders: as many extents as make one chunk are given, and as many are had. A chunk is
//! done or not; between chunks the call can pause, and `nr_exchanged` says where it stands.

use core::mem::offset_of;

use abi::errno::Errno;
use abi::memory::Exchange as Request;

use super::{memory_op, mmu_batch};
use crate::call::{Call, Outcome};
use crate::frames::Exchange;
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;
use crate::mm::reservation::{MAX_EXTENT_ORDER, MAX_PRIVILEGED_EXTENT_ORDER};

/// `memory_op(exchange, argument)`.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let request = match call.read::<Request>(args[1]) {
        Ok(request) => request,
        Err(fault) => return Errno::from(fault).into(),
    };
    let mut done = request.nr_exchanged;
    let result = check(call, &request).and_then(|chunks| run(call, &chunks, &mut done));
    // As under Xen: however it ends, the guest is told how far it went.
    let at = args[1].wrapping_add(offset_of!(Request, nr_exchanged) as u64);
    if call.write(at, &done).is_err() {
        return Errno::FAULT.into();
    }
    match result {
        Ok(End::All) => Outcome::Done(0),
        Ok(End::Paused) => Outcome::Again(args),
        Err(error) => error.into(),
    }
}

enum End {
    All,
    Paused,
}

/// A request that makes sense, cut into chunks.
struct Chunks {
    owner: DomId,
    /// Extents given and had in a chunk, as orders of two.
    given_order: u32,
    had_order: u32,
    /// The next chunk and the one behind the last.
    next: u64,
    end: u64,
    request: Request,
}

fn check<M: Machine>(call: &mut Call<'_, M>, request: &Request) -> Result<Chunks, Errno> {
    let (given, had) = (&request.input, &request.output);
    let largest = if call.domain().privileged { MAX_PRIVILEGED_EXTENT_ORDER } else { MAX_EXTENT_ORDER };
    if given.extent_order > largest || had.extent_order > largest {
        return Err(Errno::PERM);
    }
    let frames = given.nr_extents.checked_mul(1 << given.extent_order).ok_or(Errno::INVAL)?;
    if had.nr_extents.checked_mul(1 << had.extent_order) != Some(frames)
        || given.domid != had.domid
        || request.nr_exchanged > given.nr_extents
    {
        return Err(Errno::INVAL);
    }
    let owner = mmu_batch::living(call, given.domid)?;
    if !memory_op::fits(call, had) {
        return Err(Errno::NOMEM);
    }
    let order = given.extent_order.max(had.extent_order);
    let (given_order, had_order) = (order - given.extent_order, order - had.extent_order);
    let (next, end) = (request.nr_exchanged >> given_order, given.nr_extents >> given_order);
    Ok(Chunks { owner, given_order, had_order, next, end, request: *request })
}

fn run<M: Machine>(call: &mut Call<'_, M>, chunks: &Chunks, done: &mut u64) -> Result<End, Errno> {
    for index in chunks.next..chunks.end {
        *done = index << chunks.given_order;
        if index != chunks.next && call.hv.machine.interrupt_pending() {
            return Ok(End::Paused);
        }
        chunk(call, chunks, index)?;
    }
    *done = chunks.request.input.nr_extents;
    Ok(End::All)
}

fn chunk<M: Machine>(call: &mut Call<'_, M>, chunks: &Chunks, index: u64) -> Result<(), Errno> {
    let order = chunks.request.output.extent_order;
    let mut exchange = Exchange::new(chunks.owner, order);
    if let Err(error) = gather(call, chunks, index, &mut exchange) {
        call.hv.frames.undo_exchange(exchange);
        return Err(error);
    }
    let first = index << chunks.had_order;
    let mut place = first;
    let mut result = Ok(());
    let hv = &mut *call.hv;
    hv.frames.commit_exchange(&hv.machine, exchange, |mfn| {
        // The domain has it whether it can be told or not.
        let told = tell(&hv.machine, chunks.request.output.extent_start, place, mfn, order);
        result = result.and(told);
        place += 1;
    });
    result
}

/// Takes all that the chunk needs, from the domain and from the allocator.
fn gather<M: Machine>(call: &mut Call<'_, M>, chunks: &Chunks, index: u64, exchange: &mut Exchange) -> Result<(), Errno> {
    let given = &chunks.request.input;
    for extent in index << chunks.given_order..(index + 1) << chunks.given_order {
        let mfn: u64 = call.read(Call::<M>::element(given.extent_start, extent, size_of::<u64>())?)?;
        for offset in 0..1 << given.extent_order {
            let mfn = Mfn(mfn.checked_add(offset).ok_or(Errno::INVAL)?);
            call.hv.frames.give_for_exchange(exchange, mfn).map_err(|_| Errno::INVAL)?;
        }
    }
    for _ in 0..1 << chunks.had_order {
        call.hv.frames.take_for_exchange(exchange).map_err(|_| Errno::NOMEM)?;
    }
    Ok(())
}

/// Reads where the guest wants an extent to appear, makes it so, and writes where the extent is.
fn tell<M: Machine>(machine: &M, list: u64, index: u64, first: Mfn, order: u32) -> Result<(), Errno> {
    let entry = Call::<M>::element(list, index, size_of::<u64>())?;
    let mut pfn = [0; 8];
    machine.copy_from_guest(entry, &mut pfn)?;
    let pfn = u64::from_le_bytes(pfn);
    for offset in 0..1 << order {
        machine.set_m2p(Mfn(first.0 + offset), pfn.wrapping_add(offset));
    }
    Ok(machine.copy_to_guest(entry, &first.0.to_le_bytes())?)
}
