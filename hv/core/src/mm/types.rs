//! The type of a frame: who may hold it as what.
//!
//! A type is held by count. While the count is above zero the type stands, and a table among them is validated. At count zero
//! the type may change, after a flush of every CPU that might still use the frame the old way. A table at count zero that still holds references
//! of its entries is *partial*: it was let go and waits to be taken apart, or its validation was interrupted. A partial table
//! can become what it was, from where the work stands; for anything else it is taken apart first.

use abi::errno::Errno;

use super::{Mm, Stop};
use crate::frames::{Frame, PageType, RefError};
use crate::ids::{DomId, Mfn};
use crate::machine::{Flush, Machine};

impl<M: Machine> Mm<'_, M> {
    /// Holds a frame as `want`. The caller holds a reference to it.
    ///
    /// # Errors
    /// -EINVAL if it is held as something else or is no valid `want`; -EBUSY if its counter is full.
    #[inline]
    pub fn get_type(&mut self, mfn: Mfn, frame: &'static Frame, want: PageType) -> Result<(), Stop> {
        let usage = frame.usage();
        if usage.is(want) {
            frame.set_usage(usage.more().map_err(|_| Errno::BUSY)?);
            return Ok(());
        }
        self.become_type(mfn, frame, want)
    }

    /// Gives up a hold. The caller keeps its reference until afterwards.
    #[inline]
    pub fn put_type(&mut self, mfn: Mfn, frame: &'static Frame) {
        let usage = frame.usage().less();
        if usage.count() != 0 {
            frame.set_usage(usage);
            return;
        }
        frame.set_stamp(self.frames.clock.now());
        match usage.kind() {
            PageType::None | PageType::Writable => frame.set_usage(usage),
            PageType::Descriptor => frame.set_usage(usage.set_validated(false)),
            PageType::L1 => {
                self.frames.account_of(frame).tables -= 1;
                self.take_apart_l1(mfn, frame);
            }
            PageType::L2 | PageType::L3 | PageType::L4 => {
                self.frames.account_of(frame).tables -= 1;
                frame.set_usage(usage.set_validated(false));
                self.set_partial(mfn, frame, abi::layout::ENTRIES);
                self.frames.queue(mfn);
            }
        }
    }

    /// Takes a reference to a frame of `owner` and holds it as `want`.
    ///
    /// # Errors
    /// -EINVAL if the frame is not that domain's, and those of [`Mm::get_type`].
    pub fn get_frame_as(&mut self, mfn: Mfn, owner: DomId, want: PageType) -> Result<(), Stop> {
        let frame = self.frames.take_ref(mfn, owner).map_err(ref_errno)?;
        self.get_type(mfn, frame, want).inspect_err(|_| self.frames.put_ref(mfn))
    }

    /// Gives up both.
    pub fn put_frame_as(&mut self, mfn: Mfn) {
        let frame = self.frames.known(mfn);
        self.put_type(mfn, frame);
        self.frames.put_ref(mfn);
    }

    #[cold]
    #[inline(never)]
    fn become_type(&mut self, mfn: Mfn, frame: &'static Frame, want: PageType) -> Result<(), Stop> {
        let usage = frame.usage();
        // A page of the hypervisor's never becomes a table: teardown would not find it.
        if usage.count() != 0 || frame.shared() && want != PageType::Writable {
            return Err(Errno::INVAL.into());
        }
        if usage.partial() && usage.kind() != want {
            self.frames.queue(mfn);
            return Err(Stop::Preempted);
        }
        if usage.kind() != want {
            let stale = self.frames.clock.stale(frame.stamp());
            self.frames.flush(self.machine, stale, Flush::All);
        }
        frame.set_usage(usage.with(want, 1));
        match want {
            PageType::None | PageType::Writable => {
                frame.set_usage(frame.usage().set_validated(true));
                Ok(())
            }
            PageType::Descriptor => self.validate_descriptors(mfn, frame),
            PageType::L1 => self.validate_l1(mfn, frame),
            PageType::L2 | PageType::L3 | PageType::L4 => self.validate_upper(mfn, frame, want),
        }?;
        if want.level().is_some() {
            self.frames.account_of(frame).tables += 1;
        }
        Ok(())
    }

    /// Marks a table at count zero as holding the references of its first `progress` entries. It holds itself from now on.
    pub(super) fn set_partial(&mut self, _mfn: Mfn, frame: &'static Frame, progress: usize) {
        let usage = frame.usage();
        if !usage.partial() && !usage.queued() {
            frame.hold();
        }
        frame.set_usage(usage.set_partial(Some(progress)));
    }

    /// Ends that state.
    pub(super) fn clear_partial(&mut self, mfn: Mfn, frame: &'static Frame) {
        let usage = frame.usage();
        frame.set_usage(usage.set_partial(None));
        if usage.partial() && !usage.queued() {
            self.frames.put_ref(mfn);
        }
    }
}

fn ref_errno(error: RefError) -> Errno {
    match error {
        RefError::NotOwned => Errno::INVAL,
        RefError::Saturated => Errno::BUSY,
    }
}
