//! One entry of a validated table changes: the way of `mmu_update`, `update_va_mapping` and emulated writes.
//!
//! The references of the new entry are taken before the entry is stored, those of the old one are dropped after. The processor may set A and D
//! meanwhile, so a store that drops references is an exchange. No flush is needed here: frames remember when they were let go.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::errno::Errno;
use abi::mmu::pte;

use super::entry::{FREE_L1, FREE_UPPER, adjust_l1, adjust_upper, frame_of, hypervisor_slot, is_device, present, writable};
use super::{Mm, Stop};
use crate::frames::{Frame, PageType};
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

/// How a new entry is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Store {
    /// Whatever the old entry was.
    Replace,
    /// With the old entry's accessed and dirty bits.
    KeepAccessed,
    /// Only if the old entry is this one (else -EAGAIN): an emulated instruction read it.
    IfStill(u64),
}

/// Where a table's entry is and who may be named by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// The table.
    pub table: Mfn,
    /// Which of its 512 entries.
    pub index: usize,
}

impl<M: Machine> Mm<'_, M> {
    /// Stores an entry by machine address, whatever the frame is: a page table of `table_owner` (checked as such), or memory.
    ///
    /// # Errors
    /// -EINVAL if the frame is not `table_owner`'s, the entry is not allowed there, or names what it may not; -EPERM and -EBUSY as for
    /// [`Mm::update_l1`].
    #[inline]
    pub fn update(&mut self, slot: Slot, new: u64, table_owner: DomId, frame_owner: DomId, store: Store) -> Result<(), Stop> {
        let Some(frame) = self.frames.get(slot.table) else {
            return Err(Errno::INVAL.into());
        };
        if !frame.belongs_to(table_owner) {
            return Err(Errno::INVAL.into());
        }
        let usage = frame.usage();
        if usage.is(PageType::L1) {
            return self.update_l1(slot, new, frame_owner, store);
        }
        if usage.count() == 0 || usage.kind().below().is_none() {
            return self.write_memory(slot, frame, new, table_owner);
        }
        if frame_owner != table_owner {
            return Err(Errno::INVAL.into());
        }
        self.update_upper(slot, usage.kind(), new, table_owner, store)
    }

    /// Changes an entry of a validated L1 table so that it may name a frame of `frame_owner`; device memory if that is `DOMID_IO`.
    ///
    /// # Errors
    /// -EINVAL for bits that are not allowed, -EPERM if there is no RAM, -EBUSY if the frame is another domain's, or is a page table and the entry
    /// writable, -EAGAIN if the entry changed under [`Store::IfStill`].
    #[inline]
    pub fn update_l1(&mut self, slot: Slot, new: u64, frame_owner: DomId, store: Store) -> Result<(), Stop> {
        let word = self.machine.word(slot.table, slot.index);
        let old = word.load(Relaxed);
        if !present(new) {
            let old = exchange(word, old, new, store)?;
            self.put_l1_entry(old, slot.table);
            return Ok(());
        }
        let new = adjust_l1(new);
        // Bits that are not allowed are not free either: they never get past this without a check.
        if (old ^ new) & !FREE_L1 == 0 {
            exchange(word, old, new, store)?;
            return Ok(());
        }
        if present(old) && (old ^ new) & !FREE_L1 == pte::RW && !is_device(old) {
            return self.change_writability(word, old, new, frame_owner, store);
        }
        let new = self.get_named_entry(new, frame_owner, slot.table)?;
        match exchange(word, old, new, store) {
            Ok(old) => self.put_l1_entry(old, slot.table),
            Err(changed) => {
                self.put_l1_entry(new, slot.table);
                return Err(changed);
            }
        }
        Ok(())
    }

    /// The same frame gets writable or read-only: only its type is at stake.
    fn change_writability(&mut self, word: &AtomicU64, old: u64, new: u64, frame_owner: DomId, store: Store) -> Result<(), Stop> {
        let mfn = frame_of(new);
        let frame = self.frames.known(mfn);
        // A mapping of another's frame (a grant) keeps the rights that it was made with.
        if !frame.belongs_to(frame_owner) {
            return Err(Errno::BUSY.into());
        }
        if writable(new) {
            self.get_type(mfn, frame, PageType::Writable).map_err(busy)?;
            return exchange(word, old, new, store).map(|_| ()).inspect_err(|_| self.put_type(mfn, frame));
        }
        exchange(word, old, new, store)?;
        self.put_type(mfn, frame);
        Ok(())
    }

    fn update_upper(&mut self, slot: Slot, kind: PageType, new: u64, owner: DomId, store: Store) -> Result<(), Stop> {
        if hypervisor_slot(kind, slot.index) {
            return Err(Errno::INVAL.into());
        }
        let word = self.machine.word(slot.table, slot.index);
        let old = word.load(Relaxed);
        if !present(new) {
            let old = exchange(word, old, new, store)?;
            self.put_upper_entry(old);
            return Ok(());
        }
        let new = adjust_upper(new);
        if (old ^ new) & !FREE_UPPER == 0 {
            exchange(word, old, new, store)?;
            return Ok(());
        }
        let below = kind.below().expect("a table of tables");
        self.get_upper_entry(new, owner, below)?;
        match exchange(word, old, new, store) {
            Ok(old) => self.put_upper_entry(old),
            Err(changed) => {
                self.put_upper_entry(new);
                return Err(changed);
            }
        }
        Ok(())
    }

    /// A frame that is no page table now: the word is just memory, and must be so while it is written.
    fn write_memory(&mut self, slot: Slot, frame: &'static Frame, new: u64, owner: DomId) -> Result<(), Stop> {
        frame.take_ref(owner).map_err(|_| Errno::INVAL)?;
        let held = self.get_type(slot.table, frame, PageType::Writable);
        if held.is_ok() {
            self.machine.word(slot.table, slot.index).store(new, Relaxed);
            self.put_type(slot.table, frame);
        }
        self.frames.put_ref(slot.table);
        held
    }
}

/// Stores an entry; tells the one that it replaced, which differs from `old` in A and D at most.
#[inline]
fn exchange(word: &AtomicU64, old: u64, new: u64, store: Store) -> Result<u64, Stop> {
    const ACCESSED: u64 = pte::ACCESSED | pte::DIRTY;
    match store {
        Store::Replace => Ok(word.swap(new, Relaxed)),
        Store::KeepAccessed => Ok(keep_accessed(word, old, new, ACCESSED)),
        Store::IfStill(expected) => word.compare_exchange(expected, new, Relaxed, Relaxed).map_err(|_| Errno::AGAIN.into()),
    }
}

fn keep_accessed(word: &AtomicU64, old: u64, new: u64, bits: u64) -> u64 {
    let mut old = old;
    loop {
        // Only the processor changes an entry while we hold the lock, and only these bits, from 0 to 1: three rounds at most.
        match word.compare_exchange(old, new | old & bits, Relaxed, Relaxed) {
            Ok(old) => return old,
            Err(now) => old = now,
        }
    }
}

fn busy(stop: Stop) -> Stop {
    match stop {
        Stop::Preempted => stop,
        Stop::Error(_) => Errno::BUSY.into(),
    }
}
