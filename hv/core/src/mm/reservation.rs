//! A domain's reservation: frames come and go (`memory_op`).

use abi::errno::Errno;
use abi::layout::INVALID_M2P_ENTRY;

use super::Mm;
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

/// The largest order of an extent for ordinary domains (`CONFIG_DOMU_MAX_ORDER` of Xen) and for privileged ones (`CONFIG_CTLDOM_MAX_ORDER`).
pub const MAX_EXTENT_ORDER: u32 = 9;
/// The same for privileged ones.
pub const MAX_PRIVILEGED_EXTENT_ORDER: u32 = 12;

impl<M: Machine> Mm<'_, M> {
    /// Adds 2^`order` adjacent frames to a domain; the machine-to-physical table names them from `pfn` on, if one is given.
    ///
    /// # Errors
    /// -ENOMEM if the domain has all that it may have or there is no such block.
    pub fn add_extent(&mut self, domain: DomId, order: u32, pfn: Option<u64>) -> Result<Mfn, Errno> {
        let first = self.frames.allocate_block_for(self.machine, domain, order).map_err(|_| Errno::NOMEM)?;
        if let Some(pfn) = pfn {
            for offset in 0..1 << order {
                self.machine.set_m2p(Mfn(first.0 + offset), pfn.wrapping_add(offset));
            }
        }
        Ok(first)
    }

    /// Takes 2^`order` frames from a domain; each is freed when nothing refers to it.
    ///
    /// # Errors
    /// -EINVAL at the first that the domain does not have; those before are gone.
    pub fn remove_extent(&mut self, domain: DomId, first: Mfn, order: u32) -> Result<(), Errno> {
        for offset in 0..1 << order {
            let mfn = Mfn(first.0.checked_add(offset).ok_or(Errno::INVAL)?);
            self.frames.give_back(mfn, domain).map_err(|_| Errno::INVAL)?;
            self.machine.set_m2p(mfn, INVALID_M2P_ENTRY);
        }
        Ok(())
    }
}
