//! Walks of a guest's page tables in software: where the entry of a linear address is.

use core::sync::atomic::Ordering::Relaxed;

use abi::layout::{HYPERVISOR_VIRT_END, HYPERVISOR_VIRT_START, is_canonical};

use super::Mm;
use super::entry::{frame_of, present};
use super::update::Slot;
use crate::ids::Mfn;
use crate::machine::Machine;

impl<M: Machine> Mm<'_, M> {
    /// The L1 entry of a linear address under a validated top-level table; none if a table above is missing or the address is not the guest's.
    ///
    /// The entry itself may be non-present.
    #[inline]
    pub fn walk(&self, root: Mfn, address: u64) -> Option<Slot> {
        if !is_guest_address(address) || !root.is_some() {
            return None;
        }
        let mut table = root;
        for shift in [39, 30, 21] {
            let entry = self.machine.word(table, index(address, shift)).load(Relaxed);
            if !present(entry) {
                return None;
            }
            table = frame_of(entry);
        }
        Some(Slot { table, index: index(address, 12) })
    }

    /// The present L1 entry of a linear address.
    pub fn translate(&self, root: Mfn, address: u64) -> Option<u64> {
        let slot = self.walk(root, address)?;
        let entry = self.machine.word(slot.table, slot.index).load(Relaxed);
        present(entry).then_some(entry)
    }
}

/// True for canonical addresses outside the hypervisor's range.
#[inline]
pub const fn is_guest_address(address: u64) -> bool {
    is_canonical(address) && !(address >= HYPERVISOR_VIRT_START && address < HYPERVISOR_VIRT_END)
}

#[inline]
const fn index(address: u64, shift: u32) -> usize {
    (address >> shift) as usize & 511
}
