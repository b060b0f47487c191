//! Mapping a page that another domain has granted.

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use abi::grant;

use super::{GrantRef, check};
use crate::hypercall::{self, Result};
use crate::memory::{self, Window};

/// A page of another domain, mapped by its grant. Dropping it unmaps it.
#[derive(Debug)]
pub struct Mapping {
    window: ManuallyDrop<Window>,
    handle: u32,
}

impl Mapping {
    /// The page. The other domain may change it at any time: use volatile accesses.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.window.as_non_null()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let mut unmap = grant::UnmapGrantRef {
            status: grant::GNTST_GENERAL_ERROR,
            host_addr: self.window.as_ptr() as u64,
            handle: self.handle,
            ..Default::default()
        };
        // SAFETY: nothing uses the page once its owner is dropped.
        let _ = unsafe { hypercall::grant_table_op(grant::OP_UNMAP_GRANT_REF, core::slice::from_mut(&mut unmap)) };
        if unmap.status == grant::GNTST_OKAY {
            // SAFETY: dropped here and nowhere else. Had unmapping failed, the address space must not be used again.
            unsafe { ManuallyDrop::drop(&mut self.window) };
        }
    }
}

/// Maps a page that domain `domid` has granted to us.
///
/// # Errors
/// -EPERM, -EINVAL, -EAGAIN and others for the hypervisor's status codes (see [`super::status_errno`]).
pub fn map(domid: u16, reference: GrantRef, writable: bool) -> Result<Mapping> {
    let window = memory::reserve(1)?;
    let readonly = if writable { 0 } else { grant::GNTMAP_READONLY };
    let mut map = grant::MapGrantRef {
        host_addr: window.as_ptr() as u64,
        flags: grant::GNTMAP_HOST_MAP | readonly,
        grant_ref: reference,
        dom: domid,
        ..Default::default()
    };
    // SAFETY: the window is fresh, so nothing is replaced.
    unsafe { hypercall::grant_table_op(grant::OP_MAP_GRANT_REF, core::slice::from_mut(&mut map)) }?;
    check(map.status)?;
    Ok(Mapping { window: ManuallyDrop::new(window), handle: map.handle })
}
