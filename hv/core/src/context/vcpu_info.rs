//! Moving a vCPU's `vcpu_info` to a frame of the guest's choice (`VCPUOP_register_vcpu_info`), once.

use abi::errno::Errno;
use abi::layout::PAGE_SIZE;
use abi::shared_info::VcpuInfo;

use crate::events;
use crate::frames::PageType;
use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, Mfn, VcpuRef};
use crate::machine::Machine;
use crate::mm::Stop;

/// Moves it to byte `offset` of `mfn`, which is held as writable from now on. What it holds goes with it, and no event is lost.
///
/// # Errors
/// -ENXIO if it would cross the frame's end or is not aligned; -EINVAL if the frame is not the domain's or is a table, or it was moved
/// before; -ENOENT without such a vCPU.
pub fn register<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, mfn: Mfn, offset: u32) -> Result<(), Errno> {
    let end = offset as usize + size_of::<VcpuInfo>();
    if !(offset as usize).is_multiple_of(size_of::<u64>()) || end > PAGE_SIZE {
        return Err(Errno::NXIO);
    }
    if hv.vcpu(who).ok_or(Errno::NOENT)?.info_registered {
        return Err(Errno::INVAL);
    }
    hold(hv, mfn, who.domain).map_err(Stop::errno)?;
    let vcpu = hv.vcpu_mut(who).ok_or(Errno::NOENT)?;
    let (old_mfn, old_offset) = (Mfn(vcpu.info_mfn), vcpu.info_offset as usize);
    vcpu.info_mfn = mfn.0;
    vcpu.info_offset = offset;
    vcpu.info_registered = true;
    if old_mfn.is_some() {
        hv.machine.copy_bytes(mfn, offset as usize, old_mfn, old_offset, size_of::<VcpuInfo>());
    }
    events::vcpu_info_moved(hv, who);
    hv.republish_clock(who);
    Ok(())
}

fn hold<M: Machine>(hv: &mut Hypervisor<M>, mfn: Mfn, owner: DomId) -> Result<(), Stop> {
    let held = hv.mm().get_frame_as(mfn, owner, PageType::Writable);
    if held != Err(Stop::Preempted) {
        return held;
    }
    // It was a table until a moment ago, and is taken apart now.
    hv.mm().settle(owner);
    hv.mm().get_frame_as(mfn, owner, PageType::Writable)
}

/// Lets go of a vCPU's `vcpu_info`, wherever it is. The vCPU never runs again.
pub fn release<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef) {
    let Some(vcpu) = hv.vcpu_mut(who) else { return };
    let mfn = Mfn(core::mem::take(&mut vcpu.info_mfn));
    if core::mem::take(&mut vcpu.info_registered) {
        hv.mm().put_frame_as(mfn);
    }
}
