//! Entries that name device memory: frames that are no RAM, which a domain may map if it is permitted them.
//!
//! No frame-table entry stands behind them, so they hold no reference and no type; the range that permits them counts them
//! ([`crate::frames::DeviceFrames`]). They are told apart by their cache attributes: an entry for device memory has both, no other has one.
//! Only a domain that names `DOMID_IO` makes one, and only in an L1 table; a table that was let go and comes back may bring them along.

use abi::domid::IO;
use abi::errno::Errno;

use super::entry::{ALLOWED_L1, UNCACHED, frame_of, is_device};
use super::{Mm, Stop};
use crate::frames::Owner;
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

impl<M: Machine> Mm<'_, M> {
    /// Takes what a present L1 entry in `table` needs, whatever it names; tells the entry as it is to be stored.
    ///
    /// # Errors
    /// Those of [`Mm::get_l1_entry`]; -EPERM for device memory that the table's owner is not permitted.
    #[inline]
    pub(super) fn get_named_entry(&mut self, entry: u64, frame_owner: DomId, table: Mfn) -> Result<u64, Stop> {
        if frame_owner == IO {
            return Ok(self.get_device_entry(entry, self.owner_of(table))?);
        }
        self.get_l1_entry(entry, frame_owner)?;
        Ok(entry)
    }

    /// The same for an entry that stands in a table which becomes valid.
    #[inline]
    pub(super) fn get_standing_entry(&mut self, entry: u64, owner: DomId) -> Result<u64, Stop> {
        if is_device(entry) {
            return Ok(self.get_device_entry(entry, owner)?);
        }
        self.get_l1_entry(entry, owner)?;
        Ok(entry)
    }

    /// Counts an entry for device memory; tells it as it is to be stored: uncached.
    ///
    /// # Errors
    /// -EINVAL for bits that are not allowed; -EPERM if the frame is RAM or not permitted.
    #[cold]
    #[inline(never)]
    fn get_device_entry(&mut self, entry: u64, owner: DomId) -> Result<u64, Errno> {
        if entry & !(ALLOWED_L1 | UNCACHED) != 0 {
            return Err(Errno::INVAL);
        }
        let mfn = frame_of(entry);
        // What is permitted is no RAM; this does not rely on it.
        if self.frames.get(mfn).is_some() {
            return Err(Errno::PERM);
        }
        self.frames.devices.count(owner, mfn)?;
        Ok(entry | UNCACHED)
    }

    /// Gives up what a present L1 entry in `table` held, which [`is_device`].
    #[cold]
    #[inline(never)]
    pub(super) fn put_device_entry(&mut self, entry: u64, table: Mfn) {
        let owner = self.owner_of(table);
        self.frames.devices.uncount(owner, frame_of(entry));
    }

    /// The domain that owns a table: only domains' frames get types.
    fn owner_of(&self, table: Mfn) -> DomId {
        match self.frames.known(table).owner() {
            Owner::Domain(domain) => domain,
            owner => panic!("a page table of {owner:?}"),
        }
    }
}
