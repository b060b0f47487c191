//! Mapping a granted frame into the caller's page tables, and undoing it.

use abi::grant::{GNTMAP_DEVICE_MAP, GNTMAP_HOST_MAP, GNTMAP_READONLY, MapGrantRef, UnmapGrantRef};

use super::Refused;
use super::maptrack::{self, Mapping};
use super::memory::{self, Place};
use super::pin::{Grant, pin, pinned_frame, unpin};
use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, Mfn, VcpuRef};
use crate::machine::Machine;

/// A new mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapped {
    /// What undoing it must name.
    pub handle: u32,
    /// The frame.
    pub frame: Mfn,
}

/// A mapping that is gone from the page tables but may be left in translation caches: after a flush, [`finish_unmap`] it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Unmapped {
    grant: Grant,
}

/// Maps a grant where the caller says (`GNTTABOP_map_grant_ref`).
///
/// # Errors
/// Device mappings (there is no I/O MMU) and requests for no mapping at all; without a free handle; those of using the grant; if the frame is not the
/// granter's or cannot be mapped so; if there is no page-table entry of the caller's at that place.
#[inline]
pub fn map<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, request: &MapGrantRef) -> Result<Mapped, Refused> {
    if request.flags & GNTMAP_DEVICE_MAP != 0 {
        return Err(Refused::NO_DEVICE_SPACE);
    }
    if request.flags & GNTMAP_HOST_MAP == 0 {
        return Err(Refused::BAD_REFERENCE);
    }
    let handle = maptrack::free_handle(hv, who.domain)?;
    let write = request.flags & GNTMAP_READONLY == 0;
    let grant = Grant { granter: request.dom, reference: request.grant_ref, write };
    let frame = pin(hv, grant, who.domain, true)?;
    let place = Place { address: request.host_addr, flags: request.flags };
    if let Err(refused) = memory::map(hv, who, place, frame, grant) {
        unpin(hv, grant);
        return Err(refused);
    }
    let flags = (request.flags & Mapping::FLAGS) as u16;
    maptrack::insert(hv, who.domain, handle, Mapping { granter: grant.granter, flags, reference: grant.reference });
    Ok(Mapped { handle, frame })
}

/// Takes a mapping out of the caller's page tables (`GNTTABOP_unmap_grant_ref`). `None` if the request names no place: then nothing
/// changes, and the handle stays.
///
/// # Errors
/// The handle stands for no mapping, or what lies at that place is not the mapping: another frame, other permissions.
#[inline]
pub fn unmap<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, request: &UnmapGrantRef) -> Result<Option<Unmapped>, Refused> {
    let track = &hv.domains.get(who.domain).ok_or(Refused::BAD_DOMAIN)?.grants.maptrack;
    let mapping = track.get(request.handle).ok_or(Refused::BAD_HANDLE)?;
    if request.host_addr == 0 {
        return Ok(None);
    }
    let grant = grant_of(mapping);
    let frame = pinned_frame(hv, grant).ok_or(Refused::BAD_HANDLE)?;
    let place = Place { address: request.host_addr, flags: u32::from(mapping.flags) };
    memory::unmap(hv, who, place, frame, grant)?;
    forget(hv, who.domain, request.handle);
    Ok(Some(Unmapped { grant }))
}

/// Ends the use of a grant whose mapping was taken out. The caller has flushed the translations of the domain that had it mapped.
#[inline]
pub fn finish_unmap<M: Machine>(hv: &mut Hypervisor<M>, unmapped: Unmapped) {
    unpin(hv, unmapped.grant);
}

/// Which use of which grant a mapping is.
#[inline]
pub(super) fn grant_of(mapping: Mapping) -> Grant {
    Grant { granter: mapping.granter, reference: mapping.reference, write: mapping.writes() }
}

/// Frees a handle.
#[inline]
pub(super) fn forget<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, handle: u32) {
    if let Some(domain) = hv.domains.get_mut(owner) {
        domain.grants.maptrack.remove(handle);
    }
}
