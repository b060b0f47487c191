//! Which handle stands for which mapping: the table of what a domain has mapped of others.

use abi::grant::{GNTMAP_APPLICATION_MAP, GNTMAP_CONTAINS_PTE, GNTMAP_HOST_MAP, GNTMAP_READONLY};
use zerocopy::FromZeros;

use super::Refused;
use crate::hypervisor::Hypervisor;
use crate::ids::DomId;
use crate::machine::Machine;

/// How many mappings a frame of the table tracks.
pub const MAPPINGS: usize = 512;

/// How many frames the table can have: 262144 mappings, as many as Xen's default.
pub const MAX_FRAMES: usize = 512;

/// One mapping. All zero is a free handle, the last of the list of free ones.
#[derive(FromZeros, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Mapping {
    /// Whose grant.
    pub granter: DomId,
    /// The `GNTMAP_*` flags that undoing it must match; 0 if the handle is free.
    pub flags: u16,
    /// The grant's reference; of a free handle, the next free one plus 1, or 0.
    pub reference: u32,
}

impl Mapping {
    /// The flags that a mapping is remembered by.
    pub const FLAGS: u32 = GNTMAP_HOST_MAP | GNTMAP_READONLY | GNTMAP_APPLICATION_MAP | GNTMAP_CONTAINS_PTE;

    /// True if the handle stands for a mapping.
    #[inline]
    pub const fn in_use(&self) -> bool {
        self.flags != 0
    }

    /// True if the frame was mapped for writing.
    #[inline]
    pub const fn writes(&self) -> bool {
        self.flags & GNTMAP_READONLY as u16 == 0
    }
}

/// A frame of the table.
#[derive(FromZeros)]
#[repr(C)]
struct MappingFrame {
    mappings: [Mapping; MAPPINGS],
}

/// The frame that names the frames of the table.
#[derive(FromZeros)]
#[repr(C)]
struct Directory {
    frames: [Option<&'static mut MappingFrame>; MAX_FRAMES],
}

const _: () = assert!(size_of::<MappingFrame>() == 4096 && size_of::<Directory>() == 4096);

/// What a domain has mapped of others. All zero is a table without room.
#[derive(FromZeros)]
#[repr(C)]
pub struct Maptrack {
    /// How many frames the table may have.
    limit: u32,
    /// How many it has.
    frames: u32,
    /// The first free handle plus 1, or 0 if all below `fresh` are in use.
    free: u32,
    /// No handle from here on was ever used.
    fresh: u32,
    /// How many handles stand for mappings.
    mapped: u32,
    directory: Option<&'static mut Directory>,
}

impl Maptrack {
    /// Sets how many frames the table may have.
    pub fn set_limit(&mut self, frames: u32) {
        self.limit = frames.min(MAX_FRAMES as u32);
    }

    /// How many frames the table may have.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// How many handles stand for mappings.
    pub fn mapped(&self) -> u32 {
        self.mapped
    }

    /// One more than the highest handle ever used.
    pub fn end(&self) -> u32 {
        self.fresh
    }

    /// How many frames the table takes, its directory included.
    pub fn memory(&self) -> u64 {
        u64::from(self.frames) + u64::from(self.directory.is_some())
    }

    fn slot(&self, handle: u32) -> Option<&Mapping> {
        let handle = handle as usize;
        let frame = self.directory.as_deref()?.frames.get(handle / MAPPINGS)?.as_deref()?;
        frame.mappings.get(handle % MAPPINGS)
    }

    fn slot_mut(&mut self, handle: u32) -> Option<&mut Mapping> {
        let handle = handle as usize;
        let frame = self.directory.as_deref_mut()?.frames.get_mut(handle / MAPPINGS)?.as_deref_mut()?;
        frame.mappings.get_mut(handle % MAPPINGS)
    }

    /// The mapping that a handle stands for; any number may be asked for.
    #[inline]
    pub fn get(&self, handle: u32) -> Option<Mapping> {
        self.slot(handle).copied().filter(Mapping::in_use)
    }

    /// The handle that [`Maptrack::insert`] will use; `None` if the table must grow first.
    fn next(&self) -> Option<u32> {
        self.free.checked_sub(1).or_else(|| (self.fresh < self.frames * MAPPINGS as u32).then_some(self.fresh))
    }

    /// Takes the handle that was told to be the next.
    fn insert(&mut self, handle: u32, mapping: Mapping) {
        debug_assert!(self.next() == Some(handle) && mapping.in_use());
        let slot = self.slot_mut(handle).expect("the table has room for the next handle");
        let next_free = slot.reference;
        *slot = mapping;
        if self.free != 0 {
            self.free = next_free;
        } else {
            self.fresh += 1;
        }
        self.mapped += 1;
    }

    /// Frees a handle that is in use.
    pub fn remove(&mut self, handle: u32) {
        let next = self.free;
        let slot = self.slot_mut(handle).expect("the handle was found in use");
        debug_assert!(slot.in_use());
        *slot = Mapping { reference: next, ..Mapping::default() };
        self.free = handle + 1;
        self.mapped -= 1;
    }
}

impl Maptrack {
    /// Forgets the highest handle ever used and tells what it stood for. For a table that is taken down: its free handles are
    /// forgotten, too.
    pub fn pop(&mut self) -> Option<Option<Mapping>> {
        let handle = self.fresh.checked_sub(1)?;
        let mapping = self.slot_mut(handle).map(core::mem::take).filter(Mapping::in_use);
        (self.fresh, self.free) = (handle, 0);
        self.mapped -= u32::from(mapping.is_some());
        Some(mapping)
    }
}

/// A free handle of a domain, room for it made if need be. It stays free until [`insert`].
#[inline]
pub fn free_handle<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) -> Result<u32, Refused> {
    let track = &hv.domains.get(owner).ok_or(Refused::BAD_DOMAIN)?.grants.maptrack;
    match track.next() {
        Some(handle) => Ok(handle),
        None => grow(hv, owner),
    }
}

#[cold]
fn grow<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) -> Result<u32, Refused> {
    let domain = hv.domains.get(owner).ok_or(Refused::BAD_DOMAIN)?;
    let track = &domain.grants.maptrack;
    if domain.dying || track.frames >= track.limit {
        return Err(Refused::NO_SPACE);
    }
    if track.directory.is_none() {
        let directory = hv.new_object::<Directory>(owner).ok_or(Refused::NO_SPACE)?;
        track_of(hv, owner)?.directory = Some(directory);
    }
    let frame = hv.new_object::<MappingFrame>(owner).ok_or(Refused::NO_SPACE)?;
    let track = track_of(hv, owner)?;
    let index = track.frames as usize;
    let directory = track.directory.as_deref_mut().expect("made above");
    directory.frames[index] = Some(frame);
    track.frames += 1;
    track.next().ok_or(Refused::NO_SPACE)
}

fn track_of<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) -> Result<&mut Maptrack, Refused> {
    hv.domains.get_mut(owner).map(|domain| &mut domain.grants.maptrack).ok_or(Refused::BAD_DOMAIN)
}

/// Makes the handle that [`free_handle`] told stand for a mapping.
#[inline]
pub fn insert<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId, handle: u32, mapping: Mapping) {
    if let Ok(track) = track_of(hv, owner) {
        track.insert(handle, mapping);
    }
}

/// Gives back the memory of a table without mappings.
pub fn free_memory<M: Machine>(hv: &mut Hypervisor<M>, owner: DomId) {
    let Some(domain) = hv.domains.get_mut(owner) else {
        return;
    };
    let track = &mut domain.grants.maptrack;
    debug_assert!(track.mapped == 0);
    (track.frames, track.free, track.fresh) = (0, 0, 0);
    let Some(directory) = track.directory.take() else {
        return;
    };
    for frame in &mut directory.frames {
        if let Some(frame) = frame.take() {
            hv.free_object(frame);
        }
    }
    hv.free_object(directory);
}
