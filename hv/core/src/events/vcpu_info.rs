//! Where a vCPU's `vcpu_info` lies, and what happens when it moves.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::shared_info::VcpuInfo;

use super::shared::SharedWord;
use crate::hypervisor::Hypervisor;
use crate::ids::{Mfn, VcpuRef};
use crate::machine::Machine;
use crate::vcpu::Vcpu;

/// The word of `vcpu_info` whose lowest byte is `evtchn_upcall_pending`.
pub(super) const UPCALL: usize = 0;
const _: () = assert!(offset_of!(VcpuInfo, evtchn_upcall_pending) == 0);

/// The word that holds `evtchn_pending_sel`.
pub(super) const SELECTOR: usize = offset_of!(VcpuInfo, evtchn_pending_sel) / 8;

/// A word of a vCPU's `vcpu_info`; `None` before it has one.
#[inline]
pub(super) fn info_word<'a, M: Machine>(machine: &'a M, vcpu: &Vcpu, word: usize) -> Option<&'a AtomicU64> {
    let mfn = Mfn(vcpu.info_mfn);
    mfn.is_some().then(|| machine.word(mfn, vcpu.info_offset as usize / 8 + word))
}

/// Tells that a vCPU's `vcpu_info` lies elsewhere from now on (`VCPUOP_register_vcpu_info`): every word is named in the selector and
/// an upcall is due, so that an event that reached only the old place is found. To be called after
/// `info_mfn` and `info_offset` have their new values.
pub fn vcpu_info_moved<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef) {
    let Some(vcpu) = hv.vcpu(who) else { return };
    let Some(selector) = info_word(&hv.machine, vcpu, SELECTOR) else {
        return;
    };
    let Some(upcall) = info_word(&hv.machine, vcpu, UPCALL) else {
        return;
    };
    selector.store(u64::MAX, Ordering::SeqCst);
    if !upcall.set(0) {
        hv.wake(who);
    }
}
