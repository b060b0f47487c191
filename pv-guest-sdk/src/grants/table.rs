//! Our own grant table: which entries are free, and where they lie.

use core::sync::atomic::AtomicU16;

use abi::Errno;
use abi::grant::{self, EntryV1};

use super::{GrantRef, check};
use crate::hypercall::{self, Result};
use crate::memory::{self, Window};
use crate::sync::IrqMutex;

/// Frames that the table may grow to (Xen's default limit).
const MAX_FRAMES: usize = 64;
const PER_FRAME: u32 = grant::ENTRIES_PER_FRAME_V1;

/// Our grant table.
pub(super) struct Table {
    window: Option<Window>,
    frames: usize,
    used: [u64; MAX_FRAMES * PER_FRAME as usize / 64],
}

pub(super) static TABLE: IrqMutex<Table> =
    IrqMutex::new(Table { window: None, frames: 0, used: [0; MAX_FRAMES * PER_FRAME as usize / 64] });

impl Table {
    pub(super) fn take(&mut self) -> Result<GrantRef> {
        loop {
            let words = self.frames * PER_FRAME as usize / 64;
            if let Some((index, word)) = self.used[..words].iter_mut().enumerate().find(|(_, word)| **word != !0) {
                let bit = word.trailing_ones();
                *word |= 1 << bit;
                return Ok(index as u32 * 64 + bit);
            }
            self.grow()?;
        }
    }

    pub(super) fn give(&mut self, reference: GrantRef) {
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
        unsafe { hypercall::grant_table_op(grant::OP_SETUP_TABLE, core::slice::from_mut(&mut setup)) }?;
        check(setup.status)?;
        let window = match &mut self.window {
            Some(window) => window,
            None => self.window.insert(memory::reserve(MAX_FRAMES)?),
        };
        // SAFETY: the frames are the hypervisor's for this very use. Those mapped already are mapped again at the same place.
        unsafe { window.map(self.frames, &list[self.frames..frames], abi::domid::SELF, true) }?;
        if self.frames == 0 {
            // The first entries are the toolstack's.
            self.used[0] = (1 << grant::NR_RESERVED_ENTRIES) - 1;
        }
        self.frames = frames;
        Ok(())
    }

    pub(super) fn entry(&self, reference: GrantRef) -> Result<*mut EntryV1> {
        let window = self.window.as_ref().filter(|_| (reference as usize) < self.frames * PER_FRAME as usize).ok_or(Errno::INVAL)?;
        // SAFETY: the entry lies in the mapped part of the window (checked).
        Ok(unsafe { window.as_ptr().cast::<EntryV1>().add(reference as usize) })
    }

    pub(super) fn flags(&self, reference: GrantRef) -> Result<&AtomicU16> {
        let entry = self.entry(reference)?;
        // SAFETY: the flags are aligned, mapped as long as the table is, and accessed atomically by both sides.
        Ok(unsafe { AtomicU16::from_ptr(&raw mut (*entry).flags) })
    }
}
