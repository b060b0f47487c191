//! Grants: letting another domain use a frame of ours, and using one of theirs.

mod area;
mod copy;
mod mapping;
mod table;

use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

use abi::Errno;
use abi::grant;

use crate::hypercall::Result;
use crate::memory;
use table::TABLE;

pub use area::{Area, MapRequest, map_all};
pub use copy::{CopyEnd, CopyRequest, copy, copy_many};
pub use mapping::{Mapping, map};

/// The number of an entry in a grant table.
pub type GrantRef = u32;

/// Lets domain `domid` map or copy the page at `page`, a page of the linear area.
///
/// # Safety
/// The other domain may read and, if `writable`, change the page at any time: no references into it, and only volatile accesses. Until
/// the grant is revoked it must not be used for anything else.
///
/// # Errors
/// -EINVAL if it is no such page; -ENOSPC if the table is full.
pub unsafe fn grant(domid: u16, page: NonNull<u8>, writable: bool) -> Result<GrantRef> {
    let mfn = memory::virt_to_mfn(page.as_ptr()).ok_or(Errno::INVAL)?;
    // SAFETY: the caller's obligation.
    unsafe { grant_mfn(domid, mfn, writable) }
}

/// The same for a machine frame.
///
/// # Safety
/// As for [`grant()`].
///
/// # Errors
/// As for [`grant()`].
pub unsafe fn grant_mfn(domid: u16, mfn: u64, writable: bool) -> Result<GrantRef> {
    let frame = u32::try_from(mfn).map_err(|_| Errno::INVAL)?;
    let mut table = TABLE.lock();
    let reference = table.take()?;
    let entry = table.entry(reference)?;
    // SAFETY: the entry is mapped and, being unused, ours to write. Its flags go last: they make it valid.
    unsafe {
        (&raw mut (*entry).domid).write_volatile(domid);
        (&raw mut (*entry).frame).write_volatile(frame);
    }
    fence(Ordering::SeqCst);
    let readonly = if writable { 0 } else { grant::GTF_READONLY };
    table.flags(reference)?.store(grant::GTF_PERMIT_ACCESS | readonly, Ordering::SeqCst);
    Ok(reference)
}

/// Ends a grant, unless it is in use.
///
/// # Errors
/// -EBUSY if the other domain still has it mapped: the page must not be used for anything else then. -EINVAL for no entry.
pub fn revoke(reference: GrantRef) -> Result<()> {
    let mut table = TABLE.lock();
    let flags = table.flags(reference)?;
    let mut current = flags.load(Ordering::SeqCst);
    loop {
        if current & (grant::GTF_READING | grant::GTF_WRITING) != 0 {
            return Err(Errno::BUSY);
        }
        match flags.compare_exchange(current, 0, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => break,
            Err(now) => current = now,
        }
    }
    table.give(reference);
    Ok(())
}

fn check(status: i16) -> Result<()> {
    if status == grant::GNTST_OKAY { Ok(()) } else { Err(status_errno(status)) }
}

/// The error number nearest to a status code of a grant operation.
pub fn status_errno(status: i16) -> Errno {
    match status {
        grant::GNTST_BAD_DOMAIN => Errno::SRCH,
        grant::GNTST_PERMISSION_DENIED => Errno::PERM,
        grant::GNTST_EAGAIN => Errno::AGAIN,
        grant::GNTST_NO_SPACE | grant::GNTST_NO_DEVICE_SPACE => Errno::NOSPC,
        grant::GNTST_BAD_VIRT_ADDR => Errno::FAULT,
        grant::GNTST_GENERAL_ERROR => Errno::IO,
        _ => Errno::INVAL,
    }
}
