//! Emulated writes to page tables: a guest kernel that writes to a read-only L1 table of its own gets what it asked for, if it is valid.
//!
//! [`begin`] finds the entry that a write fault was about, [`commit`] stores a new value as `mmu_update` would. What value the
//! instruction would have stored is the business of [`crate::emulate`].

use core::sync::atomic::Ordering::Relaxed;

use super::entry::frame_of;
use super::update::{Slot, Store};
use super::{Mm, Stop};
use crate::frames::PageType;
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

/// An entry of an L1 table that the guest tries to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Where.
    pub slot: Slot,
    /// What it holds now.
    pub value: u64,
}

impl<M: Machine> Mm<'_, M> {
    /// The entry that a write to `address` (anywhere within the 8 bytes) is about, if the address is mapped read-only on a validated L1 table of the
    /// domain. `root` is the kernel's table. The caller has checked that the fault is a guest kernel's write and that the assist is on.
    pub fn ptwr_begin(&self, root: Mfn, domain: DomId, address: u64) -> Option<Target> {
        let mapping = self.translate(root, address)?;
        let table = frame_of(mapping);
        let frame = self.frames.get(table)?;
        // No page table is mapped writable, so the mapping is read-only.
        if !frame.belongs_to(domain) || !frame.usage().is(PageType::L1) {
            return None;
        }
        let slot = Slot { table, index: (address as usize & 0xfff) >> 3 };
        let value = self.machine.word(table, slot.index).load(Relaxed);
        Some(Target { slot, value })
    }

    /// Stores `new` if the entry still holds what [`Mm::ptwr_begin`] saw.
    ///
    /// # Errors
    /// -EAGAIN if it changed: begin again. Any other if the entry is not valid ([`Mm::update_l1`]): deliver the fault.
    /// [`Stop::Preempted`]: let the guest execute the instruction anew.
    pub fn ptwr_commit(&mut self, target: Target, new: u64, domain: DomId) -> Result<(), Stop> {
        let result = self.update_l1(target.slot, new, domain, Store::IfStill(target.value));
        if result == Err(Stop::Preempted) {
            self.settle(domain);
        }
        result
    }
}
