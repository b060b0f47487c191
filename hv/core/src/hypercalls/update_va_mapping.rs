//! `update_va_mapping`: a guest changes the entry that maps one linear address, and says what to flush.

use abi::domid::IO;
use abi::errno::Errno;
use abi::mmu::{UVMF_ALL, UVMF_FLUSHTYPE_MASK, UVMF_INVLPG, UVMF_LOCAL, UVMF_TLB_FLUSH};

use super::mmu_batch;
use crate::call::{Call, Outcome};
use crate::ids::{CpuMask, DomId, Mfn};
use crate::machine::{Flush, Machine};
use crate::mm::Stop;
use crate::mm::update::Store;

/// `update_va_mapping(va, value, flags)`.
pub fn handler<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    let own = call.who.domain;
    change(call, args, own)
}

/// `update_va_mapping_otherdomain(va, value, flags, domid)`: the frame may be another domain's, or device memory.
pub fn handler_other<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5]) -> Outcome {
    match mmu_batch::frame_owner(call, args[3] as DomId) {
        Ok(owner) => change(call, args, owner),
        Err(error) => error.into(),
    }
}

fn change<M: Machine>(call: &mut Call<'_, M>, args: [u64; 5], frame_owner: DomId) -> Outcome {
    let [va, value, flags, ..] = args;
    match update(call, va, value, frame_owner) {
        Ok(()) => flush(call, va, flags).into(),
        Err(Stop::Error(error)) => error.into(),
        Err(Stop::Preempted) => {
            let own = call.who.domain;
            let other = if frame_owner == IO { own } else { frame_owner };
            let _ = call.hv.mm().settle(own) && call.hv.mm().settle(other);
            Outcome::Again(args)
        }
    }
}

fn update<M: Machine>(call: &mut Call<'_, M>, va: u64, value: u64, frame_owner: DomId) -> Result<(), Stop> {
    let root = Mfn(call.vcpu().kernel_table);
    let mut mm = call.hv.mm();
    let slot = mm.walk(root, va).ok_or(Errno::INVAL)?;
    mm.update_l1(slot, value, frame_owner, Store::Replace)
}

fn flush<M: Machine>(call: &mut Call<'_, M>, va: u64, flags: u64) -> Result<(), Errno> {
    let what = match flags & UVMF_FLUSHTYPE_MASK {
        UVMF_TLB_FLUSH => Flush::All,
        UVMF_INVLPG => Flush::Page(va),
        _ => return Ok(()),
    };
    let domain = call.who.domain;
    let cpus = match flags & !UVMF_FLUSHTYPE_MASK {
        UVMF_LOCAL => CpuMask::one(call.cpu),
        UVMF_ALL => call.hv.cpus_of(domain),
        mask => {
            let vcpus = call.read(mask)?;
            call.hv.cpus_of_vcpus(domain, vcpus)
        }
    };
    call.hv.flush(cpus, what);
    Ok(())
}
