//! `mmuext_op`: pins, page-table bases, flushes, the LDT, clearing and copying of frames.

use abi::errno::Errno;
use abi::mmu::{
    EXT_CLEAR_PAGE, EXT_COPY_PAGE, EXT_FLUSH_CACHE, EXT_FLUSH_CACHE_GLOBAL, EXT_INVLPG_ALL, EXT_INVLPG_LOCAL, EXT_INVLPG_MULTI,
    EXT_MARK_SUPER, EXT_NEW_BASEPTR, EXT_NEW_USER_BASEPTR, EXT_PIN_L1_TABLE, EXT_PIN_L4_TABLE, EXT_SET_LDT, EXT_TLB_FLUSH_ALL,
    EXT_TLB_FLUSH_LOCAL, EXT_TLB_FLUSH_MULTI, EXT_UNMARK_SUPER, EXT_UNPIN_TABLE, MmuextOp,
};

use super::mmu_batch;
use crate::call::{Call, Outcome};
use crate::frames::PageType;
use crate::ids::{CpuMask, DomId, Mfn};
use crate::machine::{Flush, Machine};
use crate::mm::walk::is_guest_address;
use crate::mm::{Stop, base, ldt};

/// `mmuext_op(operations, count, done, foreigndom)`.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    // What every switch between processes does.
    if let Some(op) = mmu_batch::single::<M, MmuextOp>(call, args)
        && op.cmd == EXT_NEW_BASEPTR
    {
        let result = base::new_kernel_table(call, Mfn(op.arg1));
        return mmu_batch::finish(call, args, result);
    }
    batch(call, args)
}

#[inline(never)]
fn batch<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let owner = match mmu_batch::living(call, args[3] as DomId) {
        Ok(owner) => owner,
        Err(error) => return error.into(),
    };
    let owners = [call.who.domain, owner];
    mmu_batch::run(call, args, size_of::<MmuextOp>(), owners, |call, address| {
        let op: MmuextOp = call.read(address)?;
        one(call, &op, owner)
    })
}

fn one<M: Machine>(call: &mut Call<'_, M>, op: &MmuextOp, owner: DomId) -> Result<(), Stop> {
    match op.cmd {
        EXT_PIN_L1_TABLE..=EXT_PIN_L4_TABLE => {
            let level = (op.cmd - EXT_PIN_L1_TABLE + 1) as u8;
            call.hv.mm().pin(owner, Mfn(op.arg1), level)
        }
        EXT_UNPIN_TABLE => call.hv.mm().unpin(owner, Mfn(op.arg1)).map_err(Stop::from),
        EXT_CLEAR_PAGE => clear(call, owner, Mfn(op.arg1)),
        EXT_COPY_PAGE => copy(call, owner, Mfn(op.arg1), Mfn(op.arg2)),
        EXT_MARK_SUPER | EXT_UNMARK_SUPER => Err(Errno::OPNOTSUPP.into()),
        EXT_NEW_BASEPTR..=EXT_SET_LDT | EXT_NEW_USER_BASEPTR | EXT_FLUSH_CACHE_GLOBAL => own(call, op, owner),
        _ => Err(Errno::NOSYS.into()),
    }
}

/// What a domain may only do to itself.
fn own<M: Machine>(call: &mut Call<'_, M>, op: &MmuextOp, owner: DomId) -> Result<(), Stop> {
    if owner != call.who.domain {
        return Err(Errno::PERM.into());
    }
    match op.cmd {
        EXT_NEW_BASEPTR => base::new_kernel_table(call, Mfn(op.arg1)),
        EXT_NEW_USER_BASEPTR => base::new_user_table(call, Mfn(op.arg1)),
        EXT_SET_LDT => ldt::set(call, op.arg1, op.arg2 as u32).map_err(Stop::from),
        // Only domains with devices may empty the caches; there are none yet.
        EXT_FLUSH_CACHE | EXT_FLUSH_CACHE_GLOBAL => Err(Errno::ACCES.into()),
        _ => flush(call, op).map_err(Stop::from),
    }
}

fn flush<M: Machine>(call: &mut Call<'_, M>, op: &MmuextOp) -> Result<(), Errno> {
    let domain = call.who.domain;
    let cpus = match op.cmd {
        EXT_TLB_FLUSH_LOCAL | EXT_INVLPG_LOCAL => CpuMask::one(call.cpu),
        EXT_TLB_FLUSH_ALL | EXT_INVLPG_ALL => call.hv.cpus_of(domain),
        EXT_TLB_FLUSH_MULTI | EXT_INVLPG_MULTI => {
            let vcpus = call.read(op.arg2).map_err(|_| Errno::INVAL)?;
            call.hv.cpus_of_vcpus(domain, vcpus)
        }
        _ => return Err(Errno::NOSYS),
    };
    match op.cmd {
        EXT_TLB_FLUSH_LOCAL | EXT_TLB_FLUSH_ALL | EXT_TLB_FLUSH_MULTI => call.hv.flush(cpus, Flush::All),
        _ if is_guest_address(op.arg1) => call.hv.flush(cpus, Flush::Page(op.arg1)),
        _ => {}
    }
    Ok(())
}

fn clear<M: Machine>(call: &mut Call<'_, M>, owner: DomId, mfn: Mfn) -> Result<(), Stop> {
    let mut mm = call.hv.mm();
    mm.get_frame_as(mfn, owner, PageType::Writable)?;
    mm.machine.zero_frame(mfn);
    mm.put_frame_as(mfn);
    Ok(())
}

fn copy<M: Machine>(call: &mut Call<'_, M>, owner: DomId, to: Mfn, from: Mfn) -> Result<(), Stop> {
    let mut mm = call.hv.mm();
    mm.frames.take_ref(from, owner).map_err(|_| Errno::INVAL)?;
    let held = mm.get_frame_as(to, owner, PageType::Writable);
    if held.is_ok() {
        mm.machine.copy_frame(to, from);
        mm.put_frame_as(to);
    }
    mm.frames.put_ref(from);
    held
}
