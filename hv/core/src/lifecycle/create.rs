//! A new domain: its structures, its `shared_info`, its limits. It has no memory and no vCPU with a context yet, and is paused.

use core::sync::atomic::Ordering;

use abi::errno::Errno;

use crate::domain::Domain;
use crate::grants;
use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, MAX_DOMAINS, MAX_VCPUS, Mfn, VcpuRef};
use crate::machine::Machine;

/// How much a domain may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// vCPUs, 1 to 32.
    pub vcpus: u32,
    /// Frames.
    pub frames: u64,
    /// The highest event-channel port.
    pub event_channels: u32,
    /// Frames of its grant table.
    pub grant_frames: u32,
    /// Frames of its table of grants that it has mapped.
    pub maptrack_frames: u32,
}

/// Makes a domain with number `id`, or the next free one.
///
/// # Errors
/// -EINVAL for limits that make no sense, -EEXIST if the number is taken, -ENOMEM if memory or numbers are used up.
pub fn create<M: Machine>(hv: &mut Hypervisor<M>, id: Option<DomId>, limits: &Limits, handle: [u8; 16]) -> Result<DomId, Errno> {
    if limits.vcpus == 0 || limits.vcpus as usize > MAX_VCPUS {
        return Err(Errno::INVAL);
    }
    super::reap(hv);
    let id = choose(hv, id)?;
    hv.frames.open(id, limits.frames);
    let Some(domain) = hv.new_object::<Domain>(id) else { return Err(Errno::NOMEM) };
    domain.id = id;
    domain.paused = true;
    domain.max_vcpus = limits.vcpus;
    domain.handle = handle;
    domain.events.set_limit(limits.event_channels);
    hv.domains.insert(domain);
    hv.last_domain = id;
    hv.begin_domain(id);
    let made = furnish(hv, id, limits);
    if made.is_err() {
        // Nobody can have anything of it yet, so this ends in one go.
        while super::destroy(hv, id) == Ok(super::Progress::More) {}
    }
    made.map(|()| id)
}

/// The number asked for, or the next one after the last that was given: numbers are reused as late as possible, and not while a
/// frame of the last domain with that number is still mapped by another.
fn choose<M: Machine>(hv: &Hypervisor<M>, id: Option<DomId>) -> Result<DomId, Errno> {
    let free = |id: DomId| hv.domains.get(id).is_none() && hv.frames.of(id).is_empty();
    match id {
        Some(id) if usize::from(id) >= MAX_DOMAINS => Err(Errno::INVAL),
        Some(id) if free(id) => Ok(id),
        Some(_) => Err(Errno::EXIST),
        None => {
            let after = hv.last_domain.saturating_add(1).max(1);
            (after..MAX_DOMAINS as DomId).chain(1..after).find(|&id| free(id)).ok_or(Errno::NOMEM)
        }
    }
}

fn furnish<M: Machine>(hv: &mut Hypervisor<M>, id: DomId, limits: &Limits) -> Result<(), Errno> {
    let shared_info = hv.frames.allocate_shared(&hv.machine, id).ok_or(Errno::NOMEM)?;
    hv.domains.get_mut(id).expect("just made").shared_info = shared_info.0;
    mask_upcalls(hv, shared_info);
    for vcpu in 0..limits.vcpus as u16 {
        add_vcpu(hv, VcpuRef { domain: id, vcpu }, shared_info)?;
    }
    grants::init(hv, id, limits.grant_frames, limits.maptrack_frames).map_err(|_| Errno::NOMEM)?;
    hv.publish_wallclock(id);
    Ok(())
}

/// A vCPU takes no event before its guest says so (`startofday`, `evtchn_upcall_mask`).
fn mask_upcalls<M: Machine>(hv: &Hypervisor<M>, shared_info: Mfn) {
    for vcpu in 0..MAX_VCPUS {
        hv.machine.word(shared_info, vcpu * 8).store(0x100, Ordering::Relaxed);
    }
}

fn add_vcpu<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, shared_info: Mfn) -> Result<(), Errno> {
    let vcpu = hv.new_object::<crate::vcpu::Vcpu>(who.domain).ok_or(Errno::NOMEM)?;
    vcpu.domain = who.domain;
    vcpu.id = who.vcpu;
    vcpu.in_kernel = true;
    vcpu.info_mfn = shared_info.0;
    vcpu.info_offset = u32::from(who.vcpu) * 64;
    hv.domains.get_mut(who.domain).expect("just made").vcpus[usize::from(who.vcpu)] = Some(vcpu);
    hv.begin_vcpu(who);
    Ok(())
}
