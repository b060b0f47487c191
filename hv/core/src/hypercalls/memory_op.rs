//! `memory_op`: a domain's reservation, and what it should know of memory.
//!
//! Refused with -ENOSYS: memory maps (Linux then takes its reservation as one range, as under Xen), what is for translated guests, and
//! resources.

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use abi::errno::Errno;
use abi::layout::{MACH2PHYS_NR_ENTRIES, MACH2PHYS_VIRT_END, MACH2PHYS_VIRT_START};
use abi::memory::{
    CONTINUATION_SHIFT, MachphysMapping, MemoryDomain, OP_CURRENT_RESERVATION, OP_DECREASE_RESERVATION, OP_EXCHANGE,
    OP_INCREASE_RESERVATION, OP_MACHPHYS_MAPPING, OP_MASK, OP_MAXIMUM_GPFN, OP_MAXIMUM_RAM_PAGE, OP_MAXIMUM_RESERVATION,
    OP_POPULATE_PHYSMAP, Reservation,
};
use abi::shared_info::{ArchSharedInfo, SharedInfo};

use super::{memory_exchange, mmu_batch};
use crate::call::{Call, Outcome};
use crate::frames::DomainFrames;
use crate::ids::{DomId, Mfn};
use crate::machine::{GuestFault, Machine};
use crate::mm::reservation::MAX_EXTENT_ORDER;

/// The bits of `mem_flags` that limit the width of addresses (`XENMEMF_get_address_bits`).
const ADDRESS_BITS: u32 = 0xff;

/// A place may be filled later (`XENMEMF_populate_on_demand`), which is for translated guests.
const POPULATE_ON_DEMAND: u32 = 1 << 16;

/// The word of `shared_info` that says how many frame numbers the domain uses.
const MAX_PFN: usize = (offset_of!(SharedInfo, arch) + offset_of!(ArchSharedInfo, max_pfn)) / 8;

/// `memory_op(operation, argument)`.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let operation = (args[0] & OP_MASK) as u32;
    // These are done at once: there is nothing to go on with.
    let at_once = matches!(operation, OP_MAXIMUM_RAM_PAGE | OP_CURRENT_RESERVATION | OP_MAXIMUM_RESERVATION | OP_MAXIMUM_GPFN);
    if at_once && args[0] as u32 >> CONTINUATION_SHIFT != 0 {
        return Errno::INVAL.into();
    }
    match operation {
        OP_INCREASE_RESERVATION => extents(call, args, Extents::Increase),
        OP_DECREASE_RESERVATION => extents(call, args, Extents::Decrease),
        OP_POPULATE_PHYSMAP => extents(call, args, Extents::Populate),
        OP_MAXIMUM_RAM_PAGE => Outcome::Done(call.hv.frames.stats().end as i64 - 1),
        OP_CURRENT_RESERVATION => account(call, args[1], |account| account.total),
        OP_MAXIMUM_RESERVATION => account(call, args[1], |account| account.limit),
        OP_MAXIMUM_GPFN => maximum_gpfn(call, args[1]).into(),
        OP_EXCHANGE => memory_exchange::handler(call, args),
        OP_MACHPHYS_MAPPING => machphys_mapping(call, args[1]).map_err(Errno::from).into(),
        _ => Errno::NOSYS.into(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extents {
    Increase,
    Decrease,
    Populate,
}

/// Goes through a list of extents. The result is the number done: fewer than asked for means that the next one failed.
fn extents<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5], what: Extents) -> Outcome {
    let start = args[0] >> CONTINUATION_SHIFT;
    // As under Xen: what cannot be read, too, is nothing done.
    let Ok(request) = call.read::<Reservation>(args[1]) else { return Outcome::Done(start as i64) };
    let owner = match mmu_batch::living(call, request.domid) {
        Ok(owner) => owner,
        // As under Xen: no such domain is nothing done.
        Err(Errno::SRCH) => return Outcome::Done(start as i64),
        Err(error) => return error.into(),
    };
    let end = request.nr_extents;
    if end > u64::MAX >> CONTINUATION_SHIFT || start >= end || request.extent_order > MAX_EXTENT_ORDER || !fits(call, &request) {
        return Outcome::Done(start as i64);
    }
    for index in start..end {
        if index != start && call.hv.machine.interrupt_pending() {
            let mut again = args;
            again[0] = args[0] & OP_MASK | index << CONTINUATION_SHIFT;
            return Outcome::Again(again);
        }
        if extent(call, &request, owner, index, what).is_err() {
            return Outcome::Done(index as i64);
        }
    }
    Outcome::Done(end as i64)
}

/// True if frames can be had as the request wants them: all memory of the machine has addresses as short.
pub(super) fn fits<M: Machine>(call: &Call<'_, M>, request: &Reservation) -> bool {
    match request.mem_flags & ADDRESS_BITS {
        _ if request.mem_flags & POPULATE_ON_DEMAND != 0 => false,
        0 => true,
        bits => call.hv.frames.stats().end <= 1u64.checked_shl(bits.saturating_sub(12)).unwrap_or(u64::MAX),
    }
}

fn extent<M: Machine>(call: &mut Call<'_, M>, request: &Reservation, owner: DomId, index: u64, what: Extents) -> Result<(), Errno> {
    let order = request.extent_order;
    let entry = Call::<M>::element(request.extent_start, index, size_of::<u64>());
    if what == Extents::Increase {
        let mfn = call.hv.mm().add_extent(owner, order, None)?;
        // The list is optional here.
        return if request.extent_start == 0 { Ok(()) } else { Ok(call.write(entry?, &mfn.0)?) };
    }
    let entry = entry?;
    let number: u64 = call.read(entry)?;
    if what == Extents::Decrease {
        return call.hv.mm().remove_extent(owner, Mfn(number), order);
    }
    let mfn = call.hv.mm().add_extent(owner, order, Some(number))?;
    Ok(call.write(entry, &mfn.0)?)
}

fn account<M: Machine>(call: &mut Call<'_, M>, argument: u64, of: impl Fn(&DomainFrames) -> u64) -> Outcome {
    let result = call.read::<MemoryDomain>(argument).map_err(Errno::from).and_then(|request| call.target(request.domid));
    result.map(|domain| of(call.hv.frames.of(domain)) as i64).into()
}

/// The highest frame number of a domain's own, as it says itself in `shared_info` (`arch.max_pfn`, one more), or 0.
fn maximum_gpfn<M: Machine>(call: &mut Call<'_, M>, argument: u64) -> Result<i64, Errno> {
    let request: MemoryDomain = call.read(argument)?;
    let domain = call.target(request.domid)?;
    let shared = Mfn(call.hv.domain(domain).ok_or(Errno::SRCH)?.shared_info);
    let pages = if shared.is_some() { call.hv.machine.word(shared, MAX_PFN).load(Ordering::Relaxed) } else { 0 };
    Ok(pages.max(1) as i64 - 1)
}

fn machphys_mapping<M: Machine>(call: &mut Call<'_, M>, argument: u64) -> Result<(), GuestFault> {
    let mapping = MachphysMapping { v_start: MACH2PHYS_VIRT_START, v_end: MACH2PHYS_VIRT_END, max_mfn: MACH2PHYS_NR_ENTRIES - 1 };
    call.write(argument, &mapping)
}
