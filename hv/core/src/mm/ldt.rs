//! The LDT: named by linear address, checked frame by frame when the processor first needs one.

use abi::errno::Errno;
use abi::segment::MAX_LDT_ENTRIES;

use super::Stop;
use super::entry::frame_of;
use super::walk::is_guest_address;
use crate::call::Call;
use crate::frames::PageType;
use crate::hypervisor::Hypervisor;
use crate::ids::{CpuMask, Mfn, VcpuRef};
use crate::machine::{Flush, Machine};

const ENTRIES_PER_FRAME: u32 = 512;

/// Sets the calling vCPU's LDT: `entries` (0 for none) at a page-aligned linear address. Nothing of it is mapped yet.
///
/// # Errors
/// -EINVAL for more than 8192 entries or an address that cannot be.
pub fn set<M: Machine>(call: &mut Call<'_, M>, base: u64, entries: u32) -> Result<(), Errno> {
    if u64::from(entries) > MAX_LDT_ENTRIES || entries != 0 && (base & 0xfff != 0 || !is_guest_address(base)) {
        return Err(Errno::INVAL);
    }
    let base = if entries == 0 { 0 } else { base };
    let vcpu = call.vcpu();
    if (vcpu.ldt_base, vcpu.ldt_entries) == (base, entries) {
        return Ok(());
    }
    drop_frames(call.hv, call.who);
    let vcpu = call.vcpu();
    vcpu.ldt_base = base;
    vcpu.ldt_entries = entries;
    if let Some(vcpu) = call.hv.vcpu(call.who) {
        call.hv.machine.reload_descriptors(vcpu);
    }
    Ok(())
}

/// The frame of page `index` (0 to 15) of the vCPU's LDT, typed as descriptors and recorded in `ldt_frames`; the shell maps it and
/// repeats the guest's instruction. Called on a fault in the LDT's range.
///
/// # Errors
/// -EINVAL if the LDT has no such page or the guest maps nothing valid there: deliver the fault.
pub fn frame<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, index: usize) -> Result<Mfn, Stop> {
    let vcpu = hv.vcpu(who).ok_or(Errno::SRCH)?;
    let known = *vcpu.ldt_frames.get(index).ok_or(Errno::INVAL)?;
    if known != 0 {
        return Ok(Mfn(known));
    }
    if index as u32 >= vcpu.ldt_entries.div_ceil(ENTRIES_PER_FRAME) {
        return Err(Errno::INVAL.into());
    }
    let address = vcpu.ldt_base.wrapping_add((index as u64) << 12);
    let root = Mfn(vcpu.kernel_table);
    let entry = hv.mm().translate(root, address).ok_or(Errno::INVAL)?;
    let mfn = frame_of(entry);
    hv.mm().get_frame_as(mfn, who.domain, PageType::Descriptor)?;
    if let Some(vcpu) = hv.vcpu_mut(who) {
        vcpu.ldt_frames[index] = mfn.0;
    }
    Ok(mfn)
}

/// Sees to it that the pages of the LDT which a vCPU's data selectors name are there, before they are loaded: the processor's fault could
/// not be resolved then. What cannot be had is left out, and its selector becomes null.
pub fn prepare<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef) {
    let Some(vcpu) = hv.vcpu(who).filter(|vcpu| vcpu.ldt_entries != 0) else { return };
    let regs = &vcpu.regs;
    for selector in [regs.ds, regs.es, regs.fs, regs.gs] {
        if let Some(page) = page_of(selector) {
            let _ = frame(hv, who, page);
        }
    }
}

/// The page of the LDT that a selector's descriptor lies in; none if it is one of the GDT.
pub fn page_of(selector: u16) -> Option<usize> {
    /// Selectors of the LDT have this bit.
    const TABLE_INDICATOR: u16 = 1 << 2;
    (selector & TABLE_INDICATOR != 0).then_some(usize::from(selector >> 12))
}

/// The address space changes: what is mapped of the LDT comes from the old one.
pub(super) fn forget<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef) {
    if hv.vcpu(who).is_some_and(|vcpu| vcpu.ldt_entries != 0)
        && drop_frames(hv, who)
        && let Some(vcpu) = hv.vcpu(who)
    {
        hv.machine.reload_descriptors(vcpu);
    }
}

/// Gives up the frames of a vCPU's LDT that were mapped so far; true if there were any. The CPU must not use them any more afterwards
/// ([`Machine::reload_descriptors`], or the vCPU never runs again).
pub fn drop_frames<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef) -> bool {
    let Some(vcpu) = hv.vcpu_mut(who) else {
        return false;
    };
    let frames = core::mem::take(&mut vcpu.ldt_frames);
    let mut any = false;
    for mfn in frames.into_iter().filter(|&mfn| mfn != 0) {
        hv.mm().put_frame_as(Mfn(mfn));
        any = true;
    }
    if any {
        // Each CPU's own mapping of the table may be cached.
        let cpus = hv.cpus_of_vcpus(who.domain, 1 << (who.vcpu % 64));
        hv.flush(CpuMask(cpus.0), Flush::All);
    }
    any
}
