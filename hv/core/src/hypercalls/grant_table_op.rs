//! `grant_table_op` (20): decodes, says who may, and hands on to [`crate::grants`].
//!
//! Arrays are worked through in slices; after one, the call goes on with the rest of the array as its arguments. A status goes into each
//! element, the result is 0 unless the array cannot be read or written.

use abi::Errno;
use abi::grant::{
    Copy, GNTST_OKAY, GetVersion, MapGrantRef, OP_COPY, OP_GET_VERSION, OP_MAP_GRANT_REF, OP_QUERY_SIZE, OP_SET_VERSION, OP_SETUP_TABLE,
    OP_UNMAP_GRANT_REF, QuerySize, SetVersion, SetupTable, UnmapGrantRef,
};
use core::mem::offset_of;
use zerocopy::{FromBytes, IntoBytes};

use crate::call::{Call, Outcome};
use crate::grants::{self, Refused, Unmapped};
use crate::ids::DomId;
use crate::machine::{Flush, GuestFault, Machine};

/// How many elements of an array are worked through before others get their turn.
const SLICE: u32 = 32;

/// How many mappings are undone for one flush: all of a slice.
const UNMAP_BATCH: usize = SLICE as usize;

/// The only layout of entries that there is.
const VERSION: u32 = 1;

/// `GNTTABOP_*` in RDI, the address of an array in RSI, the number of its elements in RDX. Transfers, version 2 and cache maintenance are refused
/// with -ENOSYS.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let [operation, address, count, ..] = args;
    let (operation, count) = (operation as u32, count as u32);
    // Xen keeps in the upper bits how far a call has come: no guest sets them.
    if count > i32::MAX as u32 || operation >= 1 << 12 {
        return Errno::INVAL.into();
    }
    let slice = count.min(SLICE);
    match operation {
        OP_MAP_GRANT_REF => advance::<MapGrantRef>(args, slice, map(call, address, slice)),
        OP_UNMAP_GRANT_REF => advance::<UnmapGrantRef>(args, slice, unmap(call, address, slice)),
        OP_COPY => advance::<Copy>(args, slice, copy(call, address, slice)),
        OP_SETUP_TABLE => one(count).and_then(|()| setup_table(call, address)).into(),
        OP_QUERY_SIZE => one(count).and_then(|()| query_size(call, address)).into(),
        OP_SET_VERSION => set_version(call, address).into(),
        OP_GET_VERSION => get_version(call, address).into(),
        _ => Errno::NOSYS.into(),
    }
}

/// What a slice of `slice` elements came to: the end, or the same call with the rest of the array.
#[inline]
fn advance<T>(args: [u64; 5], slice: u32, done: Result<(), Errno>) -> Outcome {
    let [operation, address, count, a, b] = args;
    match done {
        Err(error) => error.into(),
        Ok(()) if count as u32 == slice => Outcome::Done(0),
        Ok(()) => {
            let next = address.wrapping_add(u64::from(slice) * size_of::<T>() as u64);
            Outcome::Again([operation, next, u64::from(count as u32 - slice), a, b])
        }
    }
}

fn one(count: u32) -> Result<(), Errno> {
    if count == 1 { Ok(()) } else { Err(Errno::INVAL) }
}

/// Where field `offset` of element `index` of an array of `T` lies.
#[inline]
fn field<M: Machine, T>(base: u64, index: u32, offset: usize) -> Result<u64, GuestFault> {
    Call::<M>::element(base, u64::from(index), size_of::<T>())?.checked_add(offset as u64).ok_or(GuestFault)
}

#[inline]
fn element<M: Machine, T: FromBytes + IntoBytes>(call: &Call<'_, M>, base: u64, index: u32) -> Result<T, GuestFault> {
    call.read(field::<M, T>(base, index, 0)?)
}

#[inline]
fn status_of<T>(result: Result<T, Refused>) -> i16 {
    match result {
        Ok(_) => GNTST_OKAY,
        Err(Refused(status)) => status,
    }
}

fn map<M: Machine>(call: &mut Call<'_, M>, base: u64, count: u32) -> Result<(), Errno> {
    // The results stand at the end of the structure, behind `dom`: they are written at once.
    const RESULTS: usize = offset_of!(MapGrantRef, dom);
    for index in 0..count {
        let mut request: MapGrantRef = element(call, base, index)?;
        match grants::map(call.hv, call.who, &request) {
            Ok(mapped) => {
                request.status = GNTST_OKAY;
                request.handle = mapped.handle;
                request.dev_bus_addr = mapped.frame.address();
            }
            Err(Refused(status)) => request.status = status,
        }
        let results = request.as_bytes().get(RESULTS..).unwrap_or_default();
        call.hv.machine.copy_to_guest(field::<M, MapGrantRef>(base, index, RESULTS)?, results)?;
    }
    Ok(())
}

fn unmap<M: Machine>(call: &mut Call<'_, M>, base: u64, count: u32) -> Result<(), Errno> {
    if count == 1 {
        let mut gone = [None];
        let outcome = unmap_one(call, base, 0, &mut gone[0]);
        finish_unmaps(call, &gone);
        return outcome;
    }
    unmap_batch(call, base, count)
}

/// Undoes up to [`UNMAP_BATCH`] mappings. No grant's use ends before the flush, whatever goes wrong.
fn unmap_batch<M: Machine>(call: &mut Call<'_, M>, base: u64, count: u32) -> Result<(), Errno> {
    let mut gone: [Option<Unmapped>; UNMAP_BATCH] = [None; UNMAP_BATCH];
    let mut outcome = Ok(());
    let mut done = 0;
    while outcome.is_ok() && done < count as usize && done < UNMAP_BATCH {
        outcome = unmap_one(call, base, done as u32, &mut gone[done]);
        done += 1;
    }
    finish_unmaps(call, gone.get(..done).unwrap_or_default());
    outcome
}

/// Flushes once for all, and ends the uses.
#[inline]
fn finish_unmaps<M: Machine>(call: &mut Call<'_, M>, gone: &[Option<Unmapped>]) {
    if gone.iter().any(Option::is_some) {
        let cpus = call.hv.cpus_of(call.who.domain);
        call.hv.flush(cpus, Flush::All);
    }
    for &unmapped in gone.iter().flatten() {
        grants::finish_unmap(call.hv, unmapped);
    }
}

#[inline]
fn unmap_one<M: Machine>(call: &mut Call<'_, M>, base: u64, index: u32, gone: &mut Option<Unmapped>) -> Result<(), Errno> {
    let request: UnmapGrantRef = element(call, base, index)?;
    let status = status_of(grants::unmap(call.hv, call.who, &request).map(|unmapped| *gone = unmapped));
    call.write(field::<M, UnmapGrantRef>(base, index, offset_of!(UnmapGrantRef, status))?, &status)?;
    Ok(())
}

fn copy<M: Machine>(call: &mut Call<'_, M>, base: u64, count: u32) -> Result<(), Errno> {
    for index in 0..count {
        let request: Copy = element(call, base, index)?;
        let status = status_of(grants::copy(call.hv, call.who.domain, &request));
        call.write(field::<M, Copy>(base, index, offset_of!(Copy, status))?, &status)?;
    }
    Ok(())
}

/// The domain that an argument names, or why it cannot be.
fn target<M: Machine>(call: &mut Call<'_, M>, domid: DomId) -> Result<DomId, Refused> {
    call.target(domid).map_err(|error| if error == Errno::PERM { Refused::PERMISSION } else { Refused::BAD_DOMAIN })
}

fn setup_table<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let request: SetupTable = call.read(address)?;
    let status = status_of(setup_and_list(call, &request));
    call.write(field::<M, SetupTable>(address, 0, offset_of!(SetupTable, status))?, &status)?;
    Ok(())
}

fn setup_and_list<M: Machine>(call: &mut Call<'_, M>, request: &SetupTable) -> Result<(), Refused> {
    let owner = target(call, request.dom)?;
    grants::setup(call.hv, owner, request.nr_frames)?;
    for index in 0..request.nr_frames {
        let frame = call.hv.domain(owner).and_then(|domain| domain.grants.frame(index));
        let frame = frame.ok_or(Refused::GENERAL)?;
        let written = field::<M, u64>(request.frame_list, index, 0).and_then(|place| call.write(place, &frame.0));
        written.map_err(|_| Refused::BAD_ADDRESS)?;
    }
    Ok(())
}

fn query_size<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let mut request: QuerySize = call.read(address)?;
    let found = target(call, request.dom);
    request.status = status_of(found);
    if let Some(domain) = found.ok().and_then(|owner| call.hv.domain(owner)) {
        request.nr_frames = domain.grants.count();
        request.max_nr_frames = domain.grants.limit();
    }
    call.write(address, &request)?;
    Ok(())
}

/// Version 1 is in force and stays so: asking for 2 fails as on a hypervisor that never had it.
fn set_version<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let request: SetVersion = call.read(address)?;
    call.write(address, &SetVersion { version: VERSION })?;
    match request.version {
        VERSION => Ok(()),
        2 => Err(Errno::NOSYS),
        _ => Err(Errno::INVAL),
    }
}

fn get_version<M: Machine>(call: &mut Call<'_, M>, address: u64) -> Result<(), Errno> {
    let mut request: GetVersion = call.read(address)?;
    call.target(request.dom)?;
    request.version = VERSION;
    call.write(address, &request)?;
    Ok(())
}
