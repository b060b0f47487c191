//! The end of a domain: everything is taken back in slices, in an order in which nothing is left that still points at what is gone.

use abi::errno::Errno;

use crate::grants::{self, Teardown};
use crate::hypervisor::Hypervisor;
use crate::ids::{DOM0, DomId, MAX_VCPUS, Mfn, VcpuRef};
use crate::machine::{Flush, Machine};
use crate::{events, mm};

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// A slice is done: call again.
    More,
    /// Other domains hold grants or frames of it: it is dead, and goes when they let go ([`reap`]).
    HeldByOthers,
    /// It is gone.
    Gone,
}

/// Takes a domain down, a slice at a time.
///
/// # Errors
/// -ESRCH if there is none, -EPERM for domain 0.
pub fn destroy<M: Machine>(hv: &mut Hypervisor<M>, id: DomId) -> Result<Progress, Errno> {
    if id == DOM0 {
        return Err(Errno::PERM);
    }
    if !hv.domains.get(id).ok_or(Errno::SRCH)?.dying {
        hv.domains.begin_end(id);
        hv.retire_domain(id);
        hv.forget_timers(id);
    }
    if hv.runs(id) {
        return Ok(Progress::More);
    }
    Ok(take_down(hv, id))
}

fn take_down<M: Machine>(hv: &mut Hypervisor<M>, id: DomId) -> Progress {
    if !events::close_all(hv, id) {
        return Progress::More;
    }
    drop_contexts(hv, id);
    if !hv.mm().relinquish(id) {
        return Progress::More;
    }
    // Grants go last: with the page tables went the references to what was mapped, and no processor may still translate it.
    hv.frames.flush(&hv.machine, crate::ids::CpuMask(u64::MAX), Flush::All);
    match grants::close(hv, id) {
        Teardown::More => return Progress::More,
        Teardown::InUse => return Progress::HeldByOthers,
        Teardown::Done => {}
    }
    if hv.frames.of(id).total != 0 {
        return Progress::HeldByOthers;
    }
    remove(hv, id);
    Progress::Gone
}

/// Lets go of what the vCPUs hold: page tables, descriptor tables, registered frames.
fn drop_contexts<M: Machine>(hv: &mut Hypervisor<M>, id: DomId) {
    for vcpu in 0..MAX_VCPUS as u16 {
        let who = VcpuRef { domain: id, vcpu };
        if hv.vcpu(who).is_none() {
            continue;
        }
        mm::ldt::drop_frames(hv, who);
        mm::base::drop_tables(hv, who);
        // Without frames this cannot fail.
        let _ = crate::hypercalls::set_gdt::set(hv, who, &[], 0);
        crate::context::vcpu_info::release(hv, who);
    }
}

fn remove<M: Machine>(hv: &mut Hypervisor<M>, id: DomId) {
    let Some(domain) = hv.domains.get_mut(id) else { return };
    let shared_info = core::mem::take(&mut domain.shared_info);
    for slot in 0..MAX_VCPUS {
        let vcpu = hv.domains.get_mut(id).and_then(|domain| domain.vcpus[slot].take());
        if let Some(vcpu) = vcpu {
            hv.free_object(vcpu);
        }
    }
    if shared_info != 0 {
        hv.frames.free_shared(Mfn(shared_info));
    }
    if let Some(domain) = hv.domains.remove(id) {
        hv.free_object(domain);
    }
}

/// Removes the dead domains that others held and have let go by now.
pub fn reap<M: Machine>(hv: &mut Hypervisor<M>) {
    for id in hv.domains.dying() {
        let dead = hv.domains.get(id).is_some_and(|domain| domain.grants.in_use() == 0);
        if dead && hv.frames.first_of(id).is_none() && hv.frames.of(id).total == 0 {
            take_down(hv, id);
        }
    }
}
