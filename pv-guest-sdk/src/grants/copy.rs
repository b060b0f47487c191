//! Copying between our frames and granted ones, by the hypervisor.

use abi::grant;

use super::{GrantRef, check};
use crate::hypercall::{self, Result};

/// One end of a copy: a granted page of another domain, or a machine frame of ours.
#[derive(Clone, Copy, Debug)]
pub enum CopyEnd {
    /// Domain, reference, offset in bytes.
    Grant(u16, GrantRef, u16),
    /// Our own machine frame, offset in bytes.
    Frame(u64, u16),
}

impl CopyEnd {
    fn raw(self) -> (grant::CopyPtr, bool) {
        let (ref_or_frame, domid, offset, is_grant) = match self {
            CopyEnd::Grant(domid, reference, offset) => (reference.into(), domid, offset, true),
            CopyEnd::Frame(mfn, offset) => (mfn, abi::domid::SELF, offset, false),
        };
        (grant::CopyPtr { ref_or_frame, domid, offset, ..Default::default() }, is_grant)
    }
}

/// Copies bytes within a page to within a page, one of which may be another domain's.
///
/// # Safety
/// A destination frame of ours must be sound to change.
///
/// # Errors
/// As for [`super::map`].
pub unsafe fn copy(source: CopyEnd, dest: CopyEnd, len: u16) -> Result<()> {
    let (source, source_is_grant) = source.raw();
    let (dest, dest_is_grant) = dest.raw();
    let flags = if source_is_grant { grant::GNTCOPY_SOURCE_GREF } else { 0 } | if dest_is_grant { grant::GNTCOPY_DEST_GREF } else { 0 };
    let mut copy = grant::Copy { source, dest, len, flags, ..Default::default() };
    // SAFETY: the structure of the operation; the destination is the caller's obligation.
    unsafe { hypercall::grant_table_op(grant::OP_COPY, core::slice::from_mut(&mut copy)) }?;
    check(copy.status)
}
