//! Using a grant: counting it in the record and marking it in the shared entry, together, and the reverse.

use super::Refused;
use super::active::Active;
use super::entry::{Claim, mark, unmark};
use crate::hypervisor::Hypervisor;
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

/// One use of a grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// Whose.
    pub granter: DomId,
    /// Its number in the granter's table.
    pub reference: u32,
    /// For writing, not only for reading.
    pub write: bool,
}

/// Starts a use of a grant by `who` and tells the frame. Whether the frame is the granter's at all is for the caller to check: it is
/// what the granter wrote.
///
/// # Errors
/// Without such a domain or entry; if the entry does not permit it, another uses it, it is used too often, or it is unstable; or if
/// the granter is dying.
#[inline]
pub(super) fn pin<M: Machine>(hv: &mut Hypervisor<M>, grant: Grant, who: DomId, map: bool) -> Result<Mfn, Refused> {
    let granter = hv.domains.get_mut(grant.granter).ok_or(Refused::BAD_DOMAIN)?;
    if granter.dying {
        return Err(Refused::GENERAL);
    }
    let (mfn, slot, record) = granter.grants.entry_mut(grant.reference).ok_or(Refused::BAD_REFERENCE)?;
    let again = record.in_use();
    if again && record.user != who {
        return Err(Refused::GENERAL);
    }
    let mut used = record.more(grant.write).ok_or(Refused::GENERAL)?;
    if !again || (grant.write && record.writers == 0) {
        let claim = Claim { who, write: grant.write, map, again };
        let frame = mark(hv.machine.word(mfn, slot), &claim)?;
        if !again {
            used = Active { frame, user: who, ..used };
        }
    }
    *record = used;
    granter.grants.in_use += u32::from(!again);
    Ok(Mfn(u64::from(used.frame)))
}

/// The frame of a grant that is in use.
#[inline]
pub(super) fn pinned_frame<M: Machine>(hv: &Hypervisor<M>, grant: Grant) -> Option<Mfn> {
    let (_, _, record) = hv.domains.get(grant.granter)?.grants.entry(grant.reference)?;
    record.in_use().then(|| Mfn(u64::from(record.frame)))
}

/// Ends a use of a grant. The marks of which it was the last use are taken off the entry: from then on the granter may reuse the frame, so
/// nothing may reach it through this use any more.
#[inline]
pub(super) fn unpin<M: Machine>(hv: &mut Hypervisor<M>, grant: Grant) {
    // A granter lives until none of its grants is in use.
    let Some(granter) = hv.domains.get_mut(grant.granter) else {
        return;
    };
    let Some((mfn, slot, record)) = granter.grants.entry_mut(grant.reference) else {
        return;
    };
    let used = record.less(grant.write).expect("every use of a grant was counted");
    let done = !used.in_use();
    *record = used;
    granter.grants.in_use -= u32::from(done);
    unmark(hv.machine.word(mfn, slot), done, grant.write && used.writers == 0);
}
