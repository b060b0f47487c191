//! A domain's grant table: the frames of shared entries, the records beside them, and their growth.

use abi::grant::ENTRIES_PER_FRAME_V1;
use zerocopy::FromZeros;

use super::Refused;
use super::active::{Active, ActiveFrame};
use super::maptrack::{MAX_FRAMES as MAX_MAPTRACK_FRAMES, Maptrack};
use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

/// How many entries a frame holds.
pub const ENTRIES: usize = ENTRIES_PER_FRAME_V1 as usize;

/// How many frames a grant table can have.
const MAX_FRAMES: usize = 64;

/// How many frames the grant table of a domain may have whose configuration does not say (`max_grant_frames` of xl.cfg).
pub const GRANT_FRAMES_DEFAULT: u32 = MAX_FRAMES as u32;

/// How many frames the table of its mappings may have then (`max_maptrack_frames`).
pub const MAPTRACK_FRAMES_DEFAULT: u32 = MAX_MAPTRACK_FRAMES as u32;

/// A domain's grants. All zero is a domain that may have none; [`init`] gives it some.
#[derive(FromZeros)]
#[repr(C)]
pub struct DomainGrants {
    /// How many frames of entries it may have.
    limit: u32,
    /// How many it has.
    count: u32,
    /// How many of its grants are in use.
    pub(super) in_use: u32,
    /// The frames of entries.
    shared: [u64; MAX_FRAMES],
    /// The records beside them.
    active: [Option<&'static mut ActiveFrame>; MAX_FRAMES],
    /// What it has mapped of others.
    pub(super) maptrack: Maptrack,
}

impl DomainGrants {
    /// How many frames of entries it may have.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How many frames of entries it has.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How many of its grants are in use by some domain.
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// How many frames the table of its mappings may have.
    pub fn maptrack_limit(&self) -> u32 {
        self.maptrack.limit()
    }

    /// How many mappings of grants it has.
    pub fn mapped(&self) -> u32 {
        self.maptrack.mapped()
    }

    /// A frame of entries, by index.
    pub fn frame(&self, index: u32) -> Option<Mfn> {
        (index < self.count).then(|| self.shared.get(index as usize).copied().map(Mfn)).flatten()
    }

    /// Where an entry lies (frame and word), and its record. Any number may be asked for.
    #[inline]
    pub(super) fn entry(&self, reference: u32) -> Option<(Mfn, usize, &Active)> {
        let (index, slot) = (reference as usize / ENTRIES, reference as usize % ENTRIES);
        let record = self.active.get(index)?.as_deref()?.records.get(slot)?;
        Some((Mfn(*self.shared.get(index)?), slot, record))
    }

    /// The same, to change the record.
    #[inline]
    pub(super) fn entry_mut(&mut self, reference: u32) -> Option<(Mfn, usize, &mut Active)> {
        let (index, slot) = (reference as usize / ENTRIES, reference as usize % ENTRIES);
        let record = self.active.get_mut(index)?.as_deref_mut()?.records.get_mut(slot)?;
        Some((Mfn(*self.shared.get(index)?), slot, record))
    }

    /// The numbers of the entries that there are.
    pub(super) fn references(&self) -> core::ops::Range<u32> {
        0..self.count * ENTRIES_PER_FRAME_V1
    }

    fn push(&mut self, shared: Mfn, active: &'static mut ActiveFrame) {
        let index = self.count as usize;
        self.shared[index] = shared.0;
        self.active[index] = Some(active);
        self.count += 1;
    }

    fn pop(&mut self) -> Option<(Mfn, &'static mut ActiveFrame)> {
        let index = (self.count as usize).checked_sub(1)?;
        let active = self.active[index].take()?;
        self.count -= 1;
        Some((Mfn(core::mem::take(&mut self.shared[index])), active))
    }
}

fn grants<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) -> Result<&mut DomainGrants, Refused> {
    hv.domains.get_mut(owner).map(|domain| &mut domain.grants).ok_or(Refused::BAD_DOMAIN)
}

/// Gives a new domain its limits, and a first frame of entries. A limit above what the hypervisor can do is as much as it can.
///
/// # Errors
/// No memory, or a limit of no frame at all.
pub fn init<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, frames: u32, maptrack_frames: u32) -> Result<(), Refused> {
    let grants = grants(hv, owner)?;
    grants.limit = frames.min(MAX_FRAMES as u32);
    grants.maptrack.set_limit(maptrack_frames);
    setup(hv, owner, 1)
}

/// Makes a domain's grant table at least `frames` long (`GNTTABOP_setup_table`). It never shrinks.
///
/// # Errors
/// More than the domain may have, no memory, or the domain is dying. It keeps the frames that it got by then.
pub fn setup<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, frames: u32) -> Result<(), Refused> {
    let domain = hv.domains.get(owner).ok_or(Refused::BAD_DOMAIN)?;
    if domain.dying || frames > domain.grants.limit {
        return Err(Refused::GENERAL);
    }
    while grants(hv, owner)?.count < frames {
        let active = hv.new_object::<ActiveFrame>(owner).ok_or(Refused::GENERAL)?;
        let Some(shared) = hv.frames.allocate_shared(&hv.machine, owner) else {
            hv.free_object(active);
            return Err(Refused::GENERAL);
        };
        grants(hv, owner)?.push(shared, active);
    }
    Ok(())
}

/// Gives back the frames of a table of which nothing is in use. What a guest has mapped of them lives on until it is unmapped.
pub(super) fn free_frames<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) {
    while let Some((shared, active)) = grants(hv, owner).ok().and_then(DomainGrants::pop) {
        hv.frames.free_shared(shared);
        hv.free_object(active);
    }
}
