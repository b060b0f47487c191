//! Pages of another domain, mapped by their grants at numbered places of one stretch of address space, many in one call.

use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use abi::Errno;
use abi::blkif::Segment;
use abi::grant::{self, MapGrantRef, UnmapGrantRef};
use abi::layout::PAGE_SIZE;
use dom0_core::blkback::ends::{Grants, Page, Want};
use dom0_core::blkback::slots::Slot;
use pv_guest_sdk::hypercall;
use pv_guest_sdk::memory::{self, Window};

/// What is mapped at a place.
#[derive(Clone, Copy)]
struct Mapped {
    handle: u32,
    /// The machine address.
    address: u64,
}

/// The places. Dropping them unmaps what is mapped; devices must have let go of it.
pub struct GrantPages {
    domid: u16,
    window: ManuallyDrop<Window>,
    places: Vec<Option<Mapped>>,
    maps: Vec<MapGrantRef>,
    unmaps: Vec<UnmapGrantRef>,
}

impl GrantPages {
    /// So many places for pages of a domain, nothing mapped.
    ///
    /// # Errors
    /// -ENOMEM without address space or memory for tables.
    pub fn new(domid: u16, count: usize) -> Result<Self, Errno> {
        let mut places = Vec::new();
        places.try_reserve_exact(count).map_err(|_| Errno::NOMEM)?;
        places.resize(count, None);
        Ok(Self { domid, window: ManuallyDrop::new(memory::reserve(count)?), places, maps: Vec::new(), unmaps: Vec::new() })
    }

    /// Maps pages at places 0, 1, ..., writable: all of them or none.
    ///
    /// # Errors
    /// -ENOMEM; -EPERM if one of them is not granted for that.
    pub fn all(domid: u16, grefs: &[u32]) -> Result<Self, Errno> {
        let mut pages = Self::new(domid, grefs.len())?;
        let wants: Vec<Want> = (0..).zip(grefs).map(|(slot, &gref)| Want { slot, gref, writable: true }).collect();
        pages.map(&wants);
        if pages.places.iter().all(Option::is_some) { Ok(pages) } else { Err(Errno::PERM) }
    }

    /// The first byte of place 0. The other domain may change what is there at any time: use volatile or atomic accesses.
    pub fn start(&self) -> NonNull<u8> {
        self.window.as_non_null()
    }

    /// Bytes of all places.
    pub fn bytes(&self) -> usize {
        self.places.len() * PAGE_SIZE
    }

    fn virt(&self, slot: Slot) -> u64 {
        self.window.page(slot.into()) as u64
    }
}

impl Grants for GrantPages {
    fn map(&mut self, wanted: &[Want]) {
        let mut maps = core::mem::take(&mut self.maps);
        maps.clear();
        maps.extend(wanted.iter().map(|want| MapGrantRef {
            host_addr: self.virt(want.slot),
            flags: grant::GNTMAP_HOST_MAP | if want.writable { 0 } else { grant::GNTMAP_READONLY },
            grant_ref: want.gref,
            dom: self.domid,
            status: grant::GNTST_GENERAL_ERROR,
            ..MapGrantRef::default()
        }));
        // SAFETY: the places lie in our window and nothing is mapped there (`Slots` gives out a slot once, until it is given back).
        let called = unsafe { hypercall::grant_table_op(grant::OP_MAP_GRANT_REF, &mut maps) };
        for (want, map) in wanted.iter().zip(&maps) {
            if called.is_ok()
                && map.status == grant::GNTST_OKAY
                && let Some(place) = self.places.get_mut(usize::from(want.slot))
            {
                *place = Some(Mapped { handle: map.handle, address: map.dev_bus_addr });
            }
        }
        self.maps = maps;
    }

    fn unmap(&mut self, slots: &[Slot]) {
        let mut unmaps = core::mem::take(&mut self.unmaps);
        unmaps.clear();
        unmaps.extend(slots.iter().filter_map(|&slot| {
            let mapped = (*self.places.get(usize::from(slot))?)?;
            Some(UnmapGrantRef {
                host_addr: self.virt(slot),
                handle: mapped.handle,
                status: grant::GNTST_GENERAL_ERROR,
                ..UnmapGrantRef::default()
            })
        }));
        // SAFETY: no device uses the pages (the caller has waited for it), and we only touch them by copying.
        let called = unsafe { hypercall::grant_table_op(grant::OP_UNMAP_GRANT_REF, &mut unmaps) };
        let start = self.window.as_ptr() as u64;
        for unmap in unmaps.iter().filter(|unmap| called.is_ok() && unmap.status == grant::GNTST_OKAY) {
            if let Some(place) = self.places.get_mut((unmap.host_addr - start) as usize / PAGE_SIZE) {
                *place = None;
            }
        }
        self.unmaps = unmaps;
    }

    fn at(&self, slot: Slot) -> Option<Page> {
        let mapped = (*self.places.get(usize::from(slot))?)?;
        Some(Page { address: mapped.address, virt: self.virt(slot) })
    }

    fn segments(&self, slot: Slot, count: usize, into: &mut Vec<Segment>) {
        if self.at(slot).is_none() {
            return;
        }
        let first: *const Segment = self.window.page(slot.into()).cast_const().cast();
        let count = count.min(PAGE_SIZE / size_of::<Segment>());
        // SAFETY: the page is mapped and holds that many segments, which are plain integers; each is copied once.
        into.extend((0..count).map(|index| unsafe { first.add(index).read_volatile() }));
    }
}

impl Drop for GrantPages {
    fn drop(&mut self) {
        let mapped: Vec<Slot> = (0..).zip(&self.places).filter(|(_, place)| place.is_some()).map(|(slot, _)| slot).collect();
        if !mapped.is_empty() {
            self.unmap(&mapped);
        }
        if self.places.iter().all(Option::is_none) {
            // SAFETY: dropped here and nowhere else. While something is mapped there the address space must not be used again.
            unsafe { ManuallyDrop::drop(&mut self.window) };
        }
    }
}
