//! Copying between two frames, each granted or the caller's own.

use abi::grant::{Copy, CopyPtr, GNTCOPY_DEST_GREF, GNTCOPY_SOURCE_GREF};
use abi::layout::PAGE_SIZE;

use super::Refused;
use super::memory;
use super::pin::{Grant, pin, unpin};
use crate::call::DOMID_SELF;
use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

/// One end of a copy, in use for its duration.
struct End {
    frame: Mfn,
    grant: Option<Grant>,
    /// The frame is held for writing.
    held: bool,
}

/// Copies as the request says (`GNTTABOP_copy`).
///
/// # Errors
/// If there is no such domain; if either range leaves its page; those of using a grant; if a frame named directly is not the caller's (only the caller may be named
/// then, as `DOMID_SELF`), or the destination is not memory that its owner may write.
#[inline]
pub fn copy<M: Machine>(hv: &mut Hypervisor<M>, who: DomId, request: &Copy) -> Result<(), Refused> {
    let (source, dest, length) = (&request.source, &request.dest, usize::from(request.len));
    if [source, dest].iter().any(|end| end.domid != DOMID_SELF && hv.domains.get(end.domid).is_none()) {
        return Err(Refused::BAD_DOMAIN);
    }
    if usize::from(source.offset) + length > PAGE_SIZE || usize::from(dest.offset) + length > PAGE_SIZE {
        return Err(Refused::BAD_COPY);
    }
    if length == 0 {
        return Ok(());
    }
    let from = open(hv, who, source, request.flags & GNTCOPY_SOURCE_GREF != 0, false)?;
    let copied = open(hv, who, dest, request.flags & GNTCOPY_DEST_GREF != 0, true).map(|to| {
        hv.machine.copy_bytes(to.frame, usize::from(dest.offset), from.frame, usize::from(source.offset), length);
        close(hv, &to);
    });
    close(hv, &from);
    copied
}

#[inline]
fn open<M: Machine>(hv: &mut Hypervisor<M>, who: DomId, end: &CopyPtr, granted: bool, write: bool) -> Result<End, Refused> {
    if !granted && end.domid != DOMID_SELF {
        return Err(Refused::PERMISSION);
    }
    let owner = if end.domid == DOMID_SELF { who } else { end.domid };
    let (frame, grant) = if granted {
        let grant = Grant { granter: owner, reference: end.ref_or_frame as u32, write };
        (pin(hv, grant, who, false)?, Some(grant))
    } else {
        (Mfn(end.ref_or_frame), None)
    };
    match memory::visit(hv, frame, owner, write) {
        Ok(held) => Ok(End { frame, grant, held }),
        Err(refused) => {
            if let Some(grant) = grant {
                unpin(hv, grant);
            }
            Err(refused)
        }
    }
}

#[inline]
fn close<M: Machine>(hv: &mut Hypervisor<M>, end: &End) {
    if end.held {
        memory::let_go(hv, end.frame, true);
    }
    if let Some(grant) = end.grant {
        unpin(hv, grant);
    }
}
