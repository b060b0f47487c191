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

/// A copy of bytes within a page to within a page, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct CopyRequest {
    /// From where.
    pub source: CopyEnd,
    /// To where.
    pub dest: CopyEnd,
    /// Bytes.
    pub len: u16,
    /// Out: done, or why not.
    pub outcome: Result<()>,
}

impl CopyRequest {
    /// A request that was not carried out yet.
    pub const fn new(source: CopyEnd, dest: CopyEnd, len: u16) -> CopyRequest {
        CopyRequest { source, dest, len, outcome: Err(abi::Errno::INVAL) }
    }

    fn raw(&self) -> grant::Copy {
        let (source, source_is_grant) = self.source.raw();
        let (dest, dest_is_grant) = self.dest.raw();
        let flags = if source_is_grant { grant::GNTCOPY_SOURCE_GREF } else { 0 } | if dest_is_grant { grant::GNTCOPY_DEST_GREF } else { 0 };
        grant::Copy { source, dest, len: self.len, flags, status: grant::GNTST_GENERAL_ERROR, ..Default::default() }
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
    let mut request = [CopyRequest::new(source, dest, len)];
    // SAFETY: the caller's obligation.
    unsafe { copy_many(&mut request) };
    request[0].outcome
}

/// Many such copies in one hypercall, one after the other. Each request tells what came of it; the result is how many are done.
///
/// # Safety
/// As for [`copy`].
pub unsafe fn copy_many(requests: &mut [CopyRequest]) -> usize {
    const BATCH: usize = 32;
    let mut done = 0;
    for requests in requests.chunks_mut(BATCH) {
        let mut batch = [grant::Copy::default(); BATCH];
        let batch = &mut batch[..requests.len()];
        for (raw, request) in batch.iter_mut().zip(requests.iter()) {
            *raw = request.raw();
        }
        // SAFETY: the structures of the operation; the destinations are the caller's obligation. Each has a status of its own.
        let _ = unsafe { hypercall::grant_table_op(grant::OP_COPY, batch) };
        for (raw, request) in batch.iter().zip(requests) {
            request.outcome = check(raw.status);
            done += usize::from(request.outcome.is_ok());
        }
    }
    done
}
