//! What grants ask of the memory rules: holding a frame, and mapping one that is held.

use abi::Errno;
use abi::grant::{GNTMAP_APPLICATION_MAP, GNTMAP_CONTAINS_PTE, GNTMAP_GUEST_AVAIL_SHIFT};
use abi::mmu::pte;

use super::Refused;
use super::pin::Grant;
use crate::frames::PageType;
use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, Mfn, VcpuRef};
use crate::machine::Machine;

/// Where a mapping goes: a linear address, or the machine address of a page-table entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Either.
    pub address: u64,
    /// `GNTMAP_*`: which of the two it is, and what the entry shall be like.
    pub flags: u32,
}

/// Where in the unused bits of an entry the guest's software bits lie.
const AVAIL_SHIFT: u32 = pte::AVAIL.trailing_zeros();

impl Place {
    fn is_entry(self) -> bool {
        self.flags & GNTMAP_CONTAINS_PTE != 0
    }

    /// What of the entry the mapper chooses; other bits that come along are not the mapper's and are ignored where the entry is
    /// made. Granted memory is never executable.
    fn bits(self) -> u64 {
        let user = if self.flags & GNTMAP_APPLICATION_MAP != 0 { pte::USER } else { 0 };
        let software = u64::from(self.flags >> GNTMAP_GUEST_AVAIL_SHIFT) << AVAIL_SHIFT;
        user | software | pte::NX
    }
}

/// Holds a frame of `owner` for reading or writing.
///
/// # Errors
/// It is not that domain's, or it is a page table and to be written.
#[inline]
pub fn hold<M: Machine>(hv: &mut Hypervisor<M>, frame: Mfn, owner: DomId, write: bool) -> Result<(), Refused> {
    let held = match hv.mm().get_granted(frame, owner, write) {
        // It was a table until a moment ago and is being taken apart.
        Err(Errno::AGAIN) => {
            hv.mm().settle(owner);
            hv.mm().get_granted(frame, owner, write)
        }
        held => held,
    };
    held.map_err(|error| match error {
        Errno::AGAIN => Refused::AGAIN,
        _ if hv.frames.get(frame).is_some_and(|frame| frame.belongs_to(owner)) => Refused::GENERAL,
        _ => Refused::BAD_PAGE,
    })
}

/// Ends what [`hold`] began.
#[inline]
pub fn let_go<M: Machine>(hv: &mut Hypervisor<M>, frame: Mfn, write: bool) {
    hv.mm().put_granted(frame, write);
}

/// Makes sure that a frame of `owner` may be read or written here and now, within one hypercall; true if it had to be held for that
/// ([`let_go`] then). While the hypervisor's lock is held, a frame that is its owner's stays so, and one whose last use was as
/// writable memory is no table and in no processor's view of one.
///
/// # Errors
/// Those of [`hold`].
#[inline]
pub fn visit<M: Machine>(hv: &mut Hypervisor<M>, frame: Mfn, owner: DomId, write: bool) -> Result<bool, Refused> {
    let known = hv.frames.get(frame).filter(|frame| frame.belongs_to(owner)).ok_or(Refused::BAD_PAGE)?;
    if !write || known.usage().kind() == PageType::Writable {
        return Ok(false);
    }
    hold(hv, frame, owner, write).map(|()| true)
}

/// Maps a granted frame into the caller's page tables. The entry holds the frame until it is removed.
///
/// # Errors
/// Those of [`hold`], or there is no entry of the caller's at that place.
#[inline]
pub fn map<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, place: Place, frame: Mfn, grant: Grant) -> Result<(), Refused> {
    hold(hv, frame, grant.granter, grant.write)?;
    let mapped = if place.is_entry() {
        hv.mm().map_granted_at(who.domain, place.address, frame, grant.write, place.bits())
    } else {
        let root = hv.vcpu(who).map_or(Mfn::NONE, |vcpu| vcpu.active_table());
        hv.mm().map_granted(root, place.address, frame, grant.write, place.bits())
    };
    mapped.map_err(|_| {
        let_go(hv, frame, grant.write);
        Refused::GENERAL
    })
}

/// Removes a mapping from the caller's page tables, and the entry's hold of the frame.
///
/// # Errors
/// What lies there is not that frame with those rights; nothing changes.
#[inline]
pub fn unmap<M: Machine>(hv: &mut Hypervisor<M>, who: VcpuRef, place: Place, frame: Mfn, grant: Grant) -> Result<(), Refused> {
    let removed = if place.is_entry() {
        hv.mm().unmap_granted_at(who.domain, place.address, frame, grant.write)
    } else {
        let root = hv.vcpu(who).map_or(Mfn::NONE, |vcpu| vcpu.active_table());
        hv.mm().unmap_granted(root, place.address, frame, grant.write)
    };
    removed.map_err(|_| Refused::GENERAL)
}
