//! `mmu_update`: a guest changes entries of its page tables, of any level, by machine address; or the machine-to-physical table.

use abi::domid::IO;
use abi::errno::Errno;
use abi::mmu::{MACHPHYS_UPDATE, MmuUpdate, NORMAL_PT_UPDATE, PT_UPDATE_NO_TRANSLATE, PT_UPDATE_PRESERVE_AD};

use super::mmu_batch;
use crate::call::{Call, Outcome};
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;
use crate::mm::Stop;
use crate::mm::update::{Slot, Store};

/// The bits of `ptr` below the address of an entry: a command. A misaligned address is one that does not exist, as on Xen.
const LOW_BITS: u64 = 7;

/// Whose tables are changed, and whose frames may be named.
#[derive(Clone, Copy)]
struct Owners {
    tables: DomId,
    frames: DomId,
}

/// `mmu_update(requests, count, done, foreigndom)`.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    if let Some(request) = mmu_batch::single::<M, MmuUpdate>(call, args) {
        let own = call.who.domain;
        let result = one(call, request, Owners { tables: own, frames: own });
        return mmu_batch::finish(call, args, result);
    }
    batch(call, args)
}

#[inline(never)]
fn batch<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let owners = match owners(call, args[3] as u32) {
        Ok(owners) => owners,
        Err(error) => return error.into(),
    };
    let settled = if owners.frames == IO { owners.tables } else { owners.frames };
    mmu_batch::run(call, args, size_of::<MmuUpdate>(), [owners.tables, settled], |call, address| {
        let request: MmuUpdate = call.read(address)?;
        one(call, request, owners)
    })
}

/// The low half names the owner of frames, the high half, less one, the owner of tables (0: the caller).
fn owners<M: Machine>(call: &mut Call<'_, M>, foreign: u32) -> Result<Owners, Errno> {
    let tables = match (foreign >> 16) as DomId {
        0 => call.who.domain,
        owner => mmu_batch::living(call, owner - 1)?,
    };
    // Frames of a dying domain may be mapped still: they are held then until the mapping goes.
    let frames = mmu_batch::frame_owner(call, foreign as DomId)?;
    Ok(Owners { tables, frames })
}

#[inline]
fn one<M: Machine>(call: &mut Call<'_, M>, request: MmuUpdate, owners: Owners) -> Result<(), Stop> {
    let address = request.ptr & !LOW_BITS;
    match request.ptr & LOW_BITS {
        NORMAL_PT_UPDATE | PT_UPDATE_NO_TRANSLATE => change(call, address, request.val, owners, Store::Replace),
        PT_UPDATE_PRESERVE_AD => change(call, address, request.val, owners, Store::KeepAccessed),
        MACHPHYS_UPDATE => set_physical(call, Mfn::containing(address), request.val, owners).map_err(Stop::from),
        _ => Err(Errno::NOSYS.into()),
    }
}

#[inline]
fn change<M: Machine>(call: &mut Call<'_, M>, address: u64, value: u64, owners: Owners, store: Store) -> Result<(), Stop> {
    let slot = Slot { table: Mfn::containing(address), index: (address as usize & 0xfff) >> 3 };
    call.hv.mm().update(slot, value, owners.tables, owners.frames, store)
}

fn set_physical<M: Machine>(call: &mut Call<'_, M>, mfn: Mfn, pfn: u64, owners: Owners) -> Result<(), Errno> {
    if owners.tables != call.who.domain {
        return Err(Errno::PERM);
    }
    let owned = call.hv.frames.get(mfn).is_some_and(|frame| frame.belongs_to(owners.frames));
    if !owned {
        return Err(Errno::INVAL);
    }
    call.hv.machine.set_m2p(mfn, pfn);
    Ok(())
}
