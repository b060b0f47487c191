//! Mappings of granted frames: entries that name another domain's frame because it allowed that.
//!
//! The grant code decides whether a frame may be mapped and takes the references; the entry takes them over, and unmapping drops them. A guest cannot
//! turn such an entry from read-only to writable (`update_l1`), but it can overwrite it: then the references go with it and the
//! handle is the guest's loss.

use core::sync::atomic::Ordering::Relaxed;

use abi::errno::Errno;
use abi::mmu::pte;

use super::Mm;
use super::entry::{adjust_l1, frame_of, present, writable};
use super::update::Slot;
use crate::frames::PageType;
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

/// Bits of an entry that whoever maps a grant may choose; the rest follows from the grant.
pub const GRANT_BITS: u64 = pte::AVAIL | pte::USER | pte::NX | pte::AVAIL_HIGH;

impl<M: Machine> Mm<'_, M> {
    /// Takes what one mapping of a granted frame needs: a reference, and the writable type if it may write.
    ///
    /// # Errors
    /// -EINVAL if the frame is not `owner`'s or is in use as a table (-EAGAIN for the moment).
    pub fn get_granted(&mut self, mfn: Mfn, owner: DomId, write: bool) -> Result<(), Errno> {
        let frame = self.frames.take_ref(mfn, owner).map_err(|_| Errno::INVAL)?;
        if write && let Err(stop) = self.get_type(mfn, frame, PageType::Writable) {
            self.frames.put_ref(mfn);
            return Err(stop.errno());
        }
        Ok(())
    }

    /// Drops what [`Mm::get_granted`] took.
    pub fn put_granted(&mut self, mfn: Mfn, write: bool) {
        if write {
            let frame = self.frames.known(mfn);
            self.put_type(mfn, frame);
        }
        self.frames.put_ref(mfn);
    }

    /// Writes the entry of a granted frame into the L1 table entry at machine address `address` of `mapper`. The entry takes over what
    /// [`Mm::get_granted`] took; on an error the caller keeps it. `bits` beyond [`GRANT_BITS`] are ignored.
    ///
    /// # Errors
    /// -EINVAL if the address is not 8-byte aligned or no entry of an L1 table of the mapper's.
    pub fn map_granted_at(&mut self, mapper: DomId, address: u64, mfn: Mfn, write: bool, bits: u64) -> Result<(), Errno> {
        let slot = self.granted_slot(mapper, address)?;
        self.store_granted(slot, mfn, write, bits);
        Ok(())
    }

    /// The same by linear address under the mapper's current top-level table.
    ///
    /// # Errors
    /// -EINVAL if the address has no L1 table.
    pub fn map_granted(&mut self, root: Mfn, address: u64, mfn: Mfn, write: bool, bits: u64) -> Result<(), Errno> {
        let slot = self.walk(root, address).ok_or(Errno::INVAL)?;
        self.store_granted(slot, mfn, write, bits);
        Ok(())
    }

    /// Removes the mapping in the entry at a machine address, and drops its references. Flush the mapper's CPUs before the grant ends.
    ///
    /// # Errors
    /// -EINVAL if the entry does not map that frame with that right; nothing changes.
    pub fn unmap_granted_at(&mut self, mapper: DomId, address: u64, mfn: Mfn, write: bool) -> Result<(), Errno> {
        let slot = self.granted_slot(mapper, address)?;
        self.clear_granted(slot, mfn, write)
    }

    /// The same by linear address.
    ///
    /// # Errors
    /// The same.
    pub fn unmap_granted(&mut self, root: Mfn, address: u64, mfn: Mfn, write: bool) -> Result<(), Errno> {
        let slot = self.walk(root, address).ok_or(Errno::INVAL)?;
        self.clear_granted(slot, mfn, write)
    }

    fn granted_slot(&self, mapper: DomId, address: u64) -> Result<Slot, Errno> {
        let table = Mfn::containing(address);
        let frame = self.frames.get(table).ok_or(Errno::INVAL)?;
        if address & 7 != 0 || !frame.belongs_to(mapper) || !frame.usage().is(PageType::L1) {
            return Err(Errno::INVAL);
        }
        Ok(Slot { table, index: (address as usize & 0xfff) >> 3 })
    }

    fn store_granted(&mut self, slot: Slot, mfn: Mfn, write: bool, bits: u64) {
        let rights = pte::PRESENT | pte::ACCESSED | if write { pte::RW | pte::DIRTY } else { 0 };
        let entry = adjust_l1(mfn.address() | rights | bits & GRANT_BITS);
        let old = self.machine.word(slot.table, slot.index).swap(entry, Relaxed);
        self.put_l1_entry(old, slot.table);
    }

    fn clear_granted(&mut self, slot: Slot, mfn: Mfn, write: bool) -> Result<(), Errno> {
        let word = self.machine.word(slot.table, slot.index);
        let entry = word.load(Relaxed);
        if !present(entry) || frame_of(entry) != mfn || writable(entry) != write {
            return Err(Errno::INVAL);
        }
        let old = word.swap(0, Relaxed);
        self.put_l1_entry(old, slot.table);
        Ok(())
    }
}
