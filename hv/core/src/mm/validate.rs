//! Validation of whole tables, and taking them apart again.
//!
//! An L1 table is done in one step. A higher table is done entry by entry and pauses between entries when an interrupt waits: it stays
//! partial, held by itself, and the same request goes on where it stopped. Recursion is four levels deep at most. Taking apart does
//! not recurse at all: a child whose count falls to zero goes on its owner's list ([`crate::frames`], `work`).

use core::sync::atomic::Ordering::Relaxed;

use abi::errno::Errno;
use abi::layout::ENTRIES;

use super::entry::{ALLOWED_L1, ALLOWED_UPPER, adjust_l1, adjust_upper, frame_of, hypervisor_slot, is_device, present, writable};
use super::{Mm, Stop};
use crate::frames::{Frame, Owner, PageType, RefError};
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

impl<M: Machine> Mm<'_, M> {
    /// Takes the references that a present L1 entry of `frame_owner`'s frame needs.
    ///
    /// # Errors
    /// -EINVAL for bits that are not allowed or no frame at all, -EPERM if the frame is no RAM, -EBUSY if it is another domain's or of another type.
    #[inline]
    pub(super) fn get_l1_entry(&mut self, entry: u64, frame_owner: DomId) -> Result<(), Stop> {
        if entry & !ALLOWED_L1 != 0 {
            return Err(Errno::INVAL.into());
        }
        let mfn = frame_of(entry);
        let frame = match self.frames.take_ref(mfn, frame_owner) {
            Ok(frame) => frame,
            Err(error) => return Err(self.why_not(mfn, error).into()),
        };
        if writable(entry)
            && let Err(stop) = self.get_type(mfn, frame, PageType::Writable)
        {
            self.frames.put_ref(mfn);
            return Err(if stop == Stop::Preempted { stop } else { Errno::BUSY.into() });
        }
        Ok(())
    }

    #[cold]
    fn why_not(&self, mfn: Mfn, error: RefError) -> Errno {
        const NO_FRAME: u64 = abi::mmu::pte::ADDR_MASK >> 12;
        match error {
            RefError::NotOwned if mfn.0 == NO_FRAME => Errno::INVAL,
            RefError::NotOwned if self.frames.get(mfn).is_none() => Errno::PERM,
            RefError::NotOwned | RefError::Saturated => Errno::BUSY,
        }
    }

    /// Gives up the references of an entry that no longer stands in an L1 table.
    #[inline]
    pub(super) fn put_l1_entry(&mut self, entry: u64, table: Mfn) {
        if present(entry) {
            if is_device(entry) {
                return self.put_device_entry(entry, table);
            }
            let mfn = frame_of(entry);
            if writable(entry) {
                let frame = self.frames.known(mfn);
                self.put_type(mfn, frame);
            }
            self.frames.put_ref(mfn);
        }
    }

    /// Takes the references that a present entry of a higher table needs.
    pub(super) fn get_upper_entry(&mut self, entry: u64, owner: DomId, below: PageType) -> Result<(), Stop> {
        if entry & !ALLOWED_UPPER != 0 {
            return Err(Errno::INVAL.into());
        }
        self.get_frame_as(frame_of(entry), owner, below)
    }

    /// Gives up the references of an entry of a higher table that no longer stands.
    pub(super) fn put_upper_entry(&mut self, entry: u64) {
        if present(entry) {
            self.put_frame_as(frame_of(entry));
        }
    }

    pub(super) fn validate_l1(&mut self, mfn: Mfn, frame: &'static Frame) -> Result<(), Stop> {
        let owner = owner_of(frame);
        for index in 0..ENTRIES {
            let slot = self.machine.word(mfn, index);
            let entry = slot.load(Relaxed);
            if !present(entry) {
                continue;
            }
            let taken = match self.get_standing_entry(entry, owner) {
                Ok(taken) => taken,
                Err(stop) => {
                    self.put_l1_entries(mfn, index);
                    frame.set_usage(frame.usage().with(PageType::L1, 0));
                    return Err(if stop == Stop::Preempted { stop } else { Errno::INVAL.into() });
                }
            };
            let adjusted = adjust_l1(taken);
            if adjusted != entry {
                slot.store(adjusted, Relaxed);
            }
        }
        frame.set_usage(frame.usage().set_validated(true));
        Ok(())
    }

    pub(super) fn take_apart_l1(&mut self, mfn: Mfn, frame: &'static Frame) {
        self.put_l1_entries(mfn, ENTRIES);
        frame.set_usage(frame.usage().with(PageType::L1, 0).set_validated(false));
    }

    fn put_l1_entries(&mut self, mfn: Mfn, count: usize) {
        for index in 0..count {
            let entry = self.machine.word(mfn, index).load(Relaxed);
            self.put_l1_entry(entry, mfn);
        }
    }

    /// The frame's count is 1, the caller's.
    pub(super) fn validate_upper(&mut self, mfn: Mfn, frame: &'static Frame, kind: PageType) -> Result<(), Stop> {
        let owner = owner_of(frame);
        let below = kind.below().expect("a table of tables");
        let start = frame.usage().progress();
        for index in start..ENTRIES {
            let slot = self.machine.word(mfn, index);
            let entry = slot.load(Relaxed);
            if !present(entry) || hypervisor_slot(kind, index) {
                continue;
            }
            let fresh = self.frames.get(frame_of(entry)).is_some_and(|child| child.usage().count() == 0);
            match self.get_upper_entry(entry, owner, below) {
                Ok(()) => slot.store(adjust_upper(entry), Relaxed),
                Err(stop) => return Err(self.leave_partial(mfn, frame, index, stop)),
            }
            if fresh && index + 1 < ENTRIES && self.machine.interrupt_pending() {
                return Err(self.leave_partial(mfn, frame, index + 1, Stop::Preempted));
            }
        }
        if kind == PageType::L4 {
            self.machine.fill_hypervisor_slots(mfn);
        }
        frame.set_usage(frame.usage().set_validated(true));
        self.clear_partial(mfn, frame);
        Ok(())
    }

    /// Validation ends before the end: the first `progress` entries hold references. If it failed for good, they will be given up.
    fn leave_partial(&mut self, mfn: Mfn, frame: &'static Frame, progress: usize, stop: Stop) -> Stop {
        frame.set_usage(frame.usage().with(frame.usage().kind(), 0));
        self.set_partial(mfn, frame, progress);
        if stop != Stop::Preempted {
            self.frames.queue(mfn);
        }
        stop
    }

    /// Takes apart the tables that a domain has let go; false if an interrupt waits and there is more to do.
    #[inline]
    pub fn settle(&mut self, domain: DomId) -> bool {
        while self.frames.has_work(domain) {
            if !self.settle_one(domain) {
                return false;
            }
        }
        true
    }

    #[cold]
    fn settle_one(&mut self, domain: DomId) -> bool {
        let Some(mfn) = self.frames.pop_work(domain) else {
            return true;
        };
        let frame = self.frames.known(mfn);
        let finished = frame.usage().count() != 0 || !frame.usage().partial() || self.take_apart_upper(mfn, frame);
        if !finished {
            self.frames.push_work(mfn);
            return false;
        }
        let usage = frame.usage();
        frame.set_usage(usage.set_queued(false));
        if !usage.partial() {
            self.frames.put_ref(mfn);
        }
        !self.machine.interrupt_pending() || !self.frames.has_work(domain)
    }

    /// True when no entry holds references any more.
    fn take_apart_upper(&mut self, mfn: Mfn, frame: &'static Frame) -> bool {
        let kind = frame.usage().kind();
        for index in (0..frame.usage().progress()).rev() {
            let entry = self.machine.word(mfn, index).load(Relaxed);
            frame.set_usage(frame.usage().set_partial(Some(index)));
            if !present(entry) || hypervisor_slot(kind, index) {
                continue;
            }
            self.put_upper_entry(entry);
            if index != 0 && self.machine.interrupt_pending() {
                return false;
            }
        }
        frame.set_usage(frame.usage().set_partial(None));
        true
    }
}

/// The domain that owns a table: only domains' frames get types.
fn owner_of(frame: &Frame) -> DomId {
    match frame.owner() {
        Owner::Domain(domain) => domain,
        owner => panic!("a page table of {owner:?}"),
    }
}
