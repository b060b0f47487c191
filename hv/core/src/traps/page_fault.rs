//! Page faults: of the LDT's window, of a write to a page table, and the guest's own.

use abi::trap::PAGE_FAULT;
use abi::vm_assist::TYPE_WRITABLE_PAGETABLES;
use core::sync::atomic::Ordering;

use super::deliver::deliver_trap;
use super::enter::ExceptionInfo;
use super::fetch::Code;
use super::registers::Frame;
use crate::call::Call;
use crate::emulate::{decode, ptwr};
use crate::ids::{DOM0, Mfn};
use crate::machine::Machine;
use crate::mm::{Stop, ldt};

/// Error code bits (SDM 3, 4.7): the page was present; the access was a write; it came from user mode.
const PRESENT: u32 = 1;
const WRITE: u32 = 2;
const USER: u32 = 4;
/// How often an emulated write is tried again because the entry changed; then the guest executes its instruction anew.
const TRIES: usize = 4;

/// Resolves a page fault, or delivers it.
#[inline(never)]
pub fn page_fault<M: Machine>(call: &mut Call<'_, M>, info: ExceptionInfo) {
    // The processor's own access, not the guest's.
    if info.error_code & USER == 0
        && let Some(page) = call.hv.machine.ldt_page(info.fault_address)
    {
        return ldt_fault(call, info, page);
    }
    if info.error_code & (PRESENT | WRITE) == PRESENT | WRITE && emulate_write(call, info.fault_address) {
        return;
    }
    deliver(call, info.fault_address, info.error_code);
}

/// Delivers a page fault: CR2 goes to `vcpu_info`, and the error code says user mode only for the guest's own.
fn deliver<M: Machine>(call: &mut Call<'_, M>, address: u64, error_code: u32) {
    let vcpu = call.vcpu();
    let (mfn, word) = (Mfn(vcpu.info_mfn), vcpu.info_offset as usize / 8 + 2);
    let user = if vcpu.in_kernel { 0 } else { USER };
    if mfn.is_some() {
        call.hv.machine.word(mfn, word).store(address, Ordering::Relaxed);
    }
    deliver_trap(call, PAGE_FAULT, error_code & !USER | user);
}

/// The processor read a page of the LDT that is not mapped yet: maps it, or tells the guest of the address behind it.
fn ldt_fault<M: Machine>(call: &mut Call<'_, M>, info: ExceptionInfo, page: usize) {
    match ldt::frame(call.hv, call.who, page) {
        Ok(_) => {
            if let Some(vcpu) = call.hv.vcpu(call.who) {
                call.hv.machine.reload_descriptors(vcpu);
            }
        }
        Err(Stop::Preempted) => settle(call),
        Err(Stop::Error(_)) => {
            let address = call.vcpu().ldt_base.wrapping_add((page as u64) << 12 | info.fault_address & 0xfff);
            deliver(call, address, info.error_code);
        }
    }
}

/// Work that was put off is done in slices; the guest tries its instruction again afterwards.
fn settle<M: Machine>(call: &mut Call<'_, M>) {
    let domain = call.who.domain;
    call.hv.mm().settle(domain);
}

/// Carries out a guest kernel's write to one of its own L1 tables; false if it is not that.
#[inline(never)]
fn emulate_write<M: Machine>(call: &mut Call<'_, M>, address: u64) -> bool {
    // Xen's first domain need not ask for it.
    let assist = call.who.domain == DOM0 || call.domain().assists >> TYPE_WRITABLE_PAGETABLES & 1 != 0;
    let vcpu = call.vcpu();
    if !assist || !vcpu.in_kernel {
        return false;
    }
    let (root, domain) = (Mfn(vcpu.kernel_table), call.who.domain);
    if call.hv.mm().ptwr_begin(root, domain, address).is_none() {
        return false;
    }
    let code = Code::at(&call.hv.machine, call.regs.rip);
    let Ok(insn) = decode::decode(code.bytes()) else { return false };
    let (fs_base, gs_base, _) = call.hv.machine.segment_bases();
    let mut frame = Frame { regs: call.regs, fs_base, gs_base };
    let Ok(access) = ptwr::plan(&insn, &frame) else { return false };
    let mut mm = call.hv.mm();
    for _ in 0..TRIES {
        let Some(target) = mm.ptwr_begin(root, domain, access.va) else { return false };
        let applied = ptwr::apply(&insn, &frame, &access, target.value);
        let stored = match applied.new_entry {
            Some(new) => mm.ptwr_commit(target, new, domain),
            None => Ok(()),
        };
        match stored {
            Ok(()) => {
                ptwr::commit(&insn, &applied, &mut frame);
                super::privileged::single_step(call);
                return true;
            }
            Err(Stop::Error(abi::errno::Errno::AGAIN)) => {}
            Err(Stop::Error(_)) => return false,
            Err(Stop::Preempted) => {
                mm.settle(domain);
                return true;
            }
        }
    }
    true
}
