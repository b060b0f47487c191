//! The two bytes of `vcpu_info` that decide whether an event interrupts its vCPU: pending and mask.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use abi::shared_info::VcpuInfo;

use crate::ids::Mfn;
use crate::machine::Machine;
use crate::vcpu::Vcpu;

const WORD: usize = offset_of!(VcpuInfo, evtchn_upcall_pending) / 8;
const PENDING: u64 = 0xff << (8 * (offset_of!(VcpuInfo, evtchn_upcall_pending) % 8));
const MASK: u64 = 0xff << (8 * (offset_of!(VcpuInfo, evtchn_upcall_mask) % 8));

#[inline]
fn word<'a, M: Machine>(machine: &'a M, vcpu: &Vcpu) -> Option<&'a AtomicU64> {
    let mfn = Mfn(vcpu.info_mfn);
    mfn.is_some().then(|| machine.word(mfn, vcpu.info_offset as usize / 8 + WORD))
}

/// True if an event is pending and not masked: the vCPU takes an upcall as soon as it runs.
#[inline]
pub fn deliverable<M: Machine>(machine: &M, vcpu: &Vcpu) -> bool {
    word(machine, vcpu).is_some_and(|word| {
        let bytes = word.load(Ordering::SeqCst);
        bytes & PENDING != 0 && bytes & MASK == 0
    })
}

/// Lets events interrupt the vCPU.
#[inline]
pub fn unmask<M: Machine>(machine: &M, vcpu: &Vcpu) {
    if let Some(word) = word(machine, vcpu) {
        word.fetch_and(!MASK, Ordering::SeqCst);
    }
}
