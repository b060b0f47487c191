//! Delivery: from a port of a domain to the shared bits of the vCPU that it notifies, and to the scheduler.

use abi::Errno;
use abi::shared_info::SharedInfo;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

use super::port::Binding;
use super::shared::{Raised, SharedWord, Words};
use super::vcpu_info::{SELECTOR, UPCALL, info_word};
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::ids::{CpuId, DomId, Mfn, VcpuRef};
use crate::machine::Machine;
use crate::vcpu::Vcpu;

const PENDING: usize = offset_of!(SharedInfo, evtchn_pending) / 8;
const MASK: usize = offset_of!(SharedInfo, evtchn_mask) / 8;

/// The word of `shared_info` that begins at `first` words and holds `port`; `None` before and after the domain has one.
#[inline]
fn port_word<'a, M: Machine>(machine: &'a M, domain: &Domain, first: usize, port: u32) -> Option<&'a AtomicU64> {
    let mfn = Mfn(domain.shared_info);
    mfn.is_some().then(|| machine.word(mfn, first + (port as usize / 64) % 64))
}

#[inline]
fn words<'a, M: Machine>(machine: &'a M, domain: &Domain, vcpu: &Vcpu, number: u32) -> Option<Words<'a, AtomicU64>> {
    Some(Words {
        port: number,
        pending: port_word(machine, domain, PENDING, number)?,
        mask: port_word(machine, domain, MASK, number)?,
        selector: info_word(machine, vcpu, SELECTOR)?,
        upcall: info_word(machine, vcpu, UPCALL)?,
    })
}

/// Makes a port of `owner` pending and wakes whoever waits for it. A domain that is gone, or has no memory shared with us any
/// more, misses nothing.
// One copy: in its callers it would run out of registers.
#[inline(never)]
pub(super) fn set_pending<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, number: u32) {
    let Some(domain) = hv.domains.get(owner) else {
        return;
    };
    let Some(port) = domain.events.port(number) else {
        return;
    };
    let Some(vcpu) = domain.vcpu(u16::from(port.vcpu)) else {
        return;
    };
    let Some(words) = words(&hv.machine, domain, vcpu, number) else {
        return;
    };
    let raised = words.raise();
    if raised == Raised::Already {
        return;
    }
    let due = raised == Raised::Upcall;
    if due && vcpu.sched.running {
        // It may be in guest code on another CPU; those that do not run look for events before they do.
        hv.machine.kick(CpuId::from(vcpu.sched.cpu));
    }
    let sleeps = due && vcpu.sched.blocked;
    if sleeps || domain.events.pollers != 0 {
        wake(hv, owner, port.vcpu, number, sleeps);
    }
}

/// Apart, so that the common case does not save registers for it.
#[inline(never)]
fn wake<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, vcpu: u8, number: u32, sleeps: bool) {
    if sleeps {
        hv.wake(VcpuRef { domain: owner, vcpu: u16::from(vcpu) });
    }
    hv.wake_pollers(owner, number);
}

/// Forgets that a port was pending, so that its next user does not get the event.
pub(super) fn clear_pending<M: Machine>(machine: &M, domain: &Domain, number: u32) {
    if let Some(word) = port_word(machine, domain, PENDING, number) {
        word.clear(number);
    }
}

/// True if a port's pending bit is set.
pub(super) fn pending<M: Machine>(machine: &M, domain: &Domain, number: u32) -> bool {
    port_word(machine, domain, PENDING, number).is_some_and(|word| word.test(number))
}

/// Unmasks a port of `owner`, and delivers its event if one is pending (`EVTCHNOP_unmask`).
///
/// # Errors
/// -EINVAL if the domain never had such a port. A port that is free is left alone, without an error.
pub fn unmask<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, number: u32) -> Result<(), Errno> {
    let domain = hv.domains.get(owner).ok_or(Errno::SRCH)?;
    let port = domain.events.known_port(number).ok_or(Errno::INVAL)?;
    if matches!(port.binding, Binding::Free | Binding::Reserved) {
        return Ok(());
    }
    let Some(vcpu) = domain.vcpu(u16::from(port.vcpu)) else {
        return Ok(());
    };
    if words(&hv.machine, domain, vcpu, number).is_some_and(|words| words.unmask()) {
        hv.wake(vcpu.reference());
    }
    Ok(())
}
