//! Pins: a guest's wish that a frame stay a page table, loaded or not.

use abi::errno::Errno;

use super::{Mm, Stop};
use crate::frames::PageType;
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

impl<M: Machine> Mm<'_, M> {
    /// Validates a frame of `owner` as a table of `level` (1 to 4) and keeps it so.
    ///
    /// # Errors
    /// -EINVAL if it is not that domain's, no valid table of that level, in use as something else, or pinned already.
    pub fn pin(&mut self, owner: DomId, mfn: Mfn, level: u8) -> Result<(), Stop> {
        let kind = PageType::table(level).ok_or(Errno::INVAL)?;
        self.get_frame_as(mfn, owner, kind)?;
        let frame = self.frames.known(mfn);
        if frame.usage().pinned() {
            self.put_frame_as(mfn);
            return Err(Errno::INVAL.into());
        }
        frame.set_usage(frame.usage().set_pinned(true));
        self.frames.account_of(frame).pinned += 1;
        Ok(())
    }

    /// Undoes a pin. What it held is taken apart by [`Mm::settle`].
    ///
    /// # Errors
    /// -EINVAL if the frame is not that domain's or not pinned.
    pub fn unpin(&mut self, owner: DomId, mfn: Mfn) -> Result<(), Errno> {
        let frame = self.frames.get(mfn).ok_or(Errno::INVAL)?;
        if !frame.belongs_to(owner) || !frame.usage().pinned() {
            return Err(Errno::INVAL);
        }
        frame.set_usage(frame.usage().set_pinned(false));
        self.frames.account_of(frame).pinned -= 1;
        self.put_frame_as(mfn);
        Ok(())
    }
}
