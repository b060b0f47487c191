//! Grants: letting another domain use a frame of ours, and using one of theirs.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, Ordering, fence};

use abi::Errno;
use abi::grant::{self, EntryV1};

use crate::hypercall::{self, Result};
use crate::memory::{self, Window};
use crate::sync::IrqMutex;

/// Frames that the table may grow to (Xen's default limit).
const MAX_FRAMES: usize = 64;
const PER_FRAME: u32 = grant::ENTRIES_PER_FRAME_V1;

/// The number of an entry in a grant table.
pub type GrantRef = u32;

/// Our grant table.
struct Table {
    window: Option<Window>,
    frames: usize,
    used: [u64; MAX_FRAMES * PER_FRAME as usize / 64],
}

static TABLE: IrqMutex<Table> = IrqMutex::new(Table {
    window: None,
    frames: 0,
    used: [0; MAX_FRAMES * PER_FRAME as usize / 64],
});

impl Table {
    fn take(&mut self) -> Result<GrantRef> {
        loop {
            let words = self.frames * PER_FRAME as usize / 64;
            if let Some((index, word)) = self.used[..words]
                .iter_mut()
                .enumerate()
                .find(|(_, word)| **word != !0)
            {
                let bit = word.trailing_ones();
                *word |= 1 << bit;
                return Ok(index as u32 * 64 + bit);
            }
            self.grow()?;
        }
    }

    fn give(&mut self, reference: GrantRef) {
        if let Some(word) = self.used.get_mut(reference as usize / 64) {
            *word &= !(1 << (reference % 64));
        }
    }

    /// Doubles the table, up to what the hypervisor allows.
    fn grow(&mut self) -> Result<()> {
        let frames = (self.frames * 2).clamp(1, MAX_FRAMES);
        if frames == self.frames {
            return Err(Errno::NOSPC);
        }
        let mut list = [0u64; MAX_FRAMES];
        let mut setup = grant::SetupTable {
            dom: abi::domid::SELF,
            nr_frames: frames as u32,
            frame_list: list.as_mut_ptr() as u64,
            ..Default::default()
        };
        // SAFETY: the structure of the operation; the list has room for that many frames.
        unsafe {
            hypercall::grant_table_op(grant::OP_SETUP_TABLE, core::slice::from_mut(&mut setup))
        }?;
        check(setup.status)?;
        let window = match &mut self.window {
            Some(window) => window,
            None => self.window.insert(memory::reserve(MAX_FRAMES)?),
        };
        // SAFETY: the frames are the hypervisor's for this very use. Those mapped already are mapped again at the same place.
        unsafe {
            window.map(
                self.frames,
                &list[self.frames..frames],
                abi::domid::SELF,
                true,
            )
        }?;
        if self.frames == 0 {
            // The first entries are the toolstack's.
            self.used[0] = (1 << grant::NR_RESERVED_ENTRIES) - 1;
        }
        self.frames = frames;
        Ok(())
    }

    fn entry(&self, reference: GrantRef) -> Result<*mut EntryV1> {
        let window = self
            .window
            .as_ref()
            .filter(|_| (reference as usize) < self.frames * PER_FRAME as usize)
            .ok_or(Errno::INVAL)?;
        // SAFETY: the entry lies in the mapped part of the window (checked).
        Ok(unsafe { window.as_ptr().cast::<EntryV1>().add(reference as usize) })
    }

    fn flags(&self, reference: GrantRef) -> Result<&AtomicU16> {
        let entry = self.entry(reference)?;
        // SAFETY: the flags are aligned, mapped as long as the table is, and accessed atomically by both sides.
        Ok(unsafe { AtomicU16::from_ptr(&raw mut (*entry).flags) })
    }
}

/// Lets domain `domid` map or copy the page at `page`, a page of the linear area.
///
/// # Errors
/// -EINVAL if it is no such page; -ENOSPC if the table is full.
pub fn grant(domid: u16, page: NonNull<u8>, writable: bool) -> Result<GrantRef> {
    let mfn = memory::virt_to_mfn(page.as_ptr()).ok_or(Errno::INVAL)?;
    grant_mfn(domid, mfn, writable)
}

/// The same for a machine frame.
///
/// # Errors
/// As for [`grant`].
pub fn grant_mfn(domid: u16, mfn: u64, writable: bool) -> Result<GrantRef> {
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
    table
        .flags(reference)?
        .store(grant::GTF_PERMIT_ACCESS | readonly, Ordering::SeqCst);
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

/// A page of another domain, mapped by its grant. Dropping it unmaps it.
#[derive(Debug)]
pub struct Mapping {
    window: Window,
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
            host_addr: self.window.as_ptr() as u64,
            handle: self.handle,
            ..Default::default()
        };
        // SAFETY: nothing uses the page once its owner is dropped.
        let _ = unsafe {
            hypercall::grant_table_op(grant::OP_UNMAP_GRANT_REF, core::slice::from_mut(&mut unmap))
        };
        debug_assert!(unmap.status == grant::GNTST_OKAY);
    }
}

/// Maps a page that domain `domid` has granted to us.
///
/// # Errors
/// -EPERM, -EINVAL, -EAGAIN and others for the hypervisor's status codes (see [`status_errno`]).
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
    Ok(Mapping {
        window,
        handle: map.handle,
    })
}

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
        (
            grant::CopyPtr {
                ref_or_frame,
                domid,
                offset,
                ..Default::default()
            },
            is_grant,
        )
    }
}

/// Copies bytes within a page to within a page, one of which may be another domain's.
///
/// # Safety
/// A destination frame of ours must be sound to change.
///
/// # Errors
/// As for [`map`].
pub unsafe fn copy(source: CopyEnd, dest: CopyEnd, len: u16) -> Result<()> {
    let (source, source_is_grant) = source.raw();
    let (dest, dest_is_grant) = dest.raw();
    let flags = if source_is_grant {
        grant::GNTCOPY_SOURCE_GREF
    } else {
        0
    } | if dest_is_grant {
        grant::GNTCOPY_DEST_GREF
    } else {
        0
    };
    let mut copy = grant::Copy {
        source,
        dest,
        len,
        flags,
        ..Default::default()
    };
    // SAFETY: the structure of the operation; the destination is the caller's obligation.
    unsafe { hypercall::grant_table_op(grant::OP_COPY, core::slice::from_mut(&mut copy)) }?;
    check(copy.status)
}

fn check(status: i16) -> Result<()> {
    if status == grant::GNTST_OKAY {
        Ok(())
    } else {
        Err(status_errno(status))
    }
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
