//! Segment descriptors: a guest's GDT and LDT are used by the processor as they stand, so they hold nothing that reaches ring 0.
//!
//! A frame of type descriptor is not writable by the guest; it is checked whole when it becomes one, and each later change by
//! `update_descriptor`.

use core::sync::atomic::Ordering::Relaxed;

use abi::errno::Errno;
use abi::layout::ENTRIES;
use abi::segment::FIRST_RESERVED_GDT_ENTRY;

use super::update::Slot;
use super::{Mm, Stop};
use crate::frames::{Frame, PageType};
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

const PRESENT: u64 = 1 << 47;
const DPL: u64 = 3 << 45;
/// Code or data, not a system descriptor.
const ORDINARY: u64 = 1 << 44;
const TYPE: u64 = 0xf << 40;
const CALL_GATE: u64 = 0xc << 40;
/// The parameter count and reserved bits of a call gate.
const GATE_RESERVED: u64 = 0xff << 32;

/// The descriptor as it may stand, or none if it may not: not present, or code or data for ring 3 (to which it is forced), or a call gate to a
/// selector of the guest's own (made unusable for the processor, so that its use traps; the original DPL is kept in the selector's RPL).
pub fn check(descriptor: u64) -> Option<u64> {
    if descriptor & PRESENT == 0 {
        return Some(descriptor);
    }
    if descriptor & ORDINARY != 0 {
        return Some(descriptor | DPL);
    }
    match descriptor & TYPE {
        // The upper half of a call gate, or nothing.
        0 => Some(descriptor),
        CALL_GATE => check_gate(descriptor),
        _ => None,
    }
}

fn check_gate(gate: u64) -> Option<u64> {
    let selector = gate >> 16 & 0xffff;
    if gate & GATE_RESERVED != 0 || !is_guest_gate_selector(selector) {
        return None;
    }
    // The DPL of a guest's descriptor is 3 whatever it says.
    Some(gate & !DPL | 3 << 16)
}

/// In the guest's part of the GDT or the LDT, or the hypervisor's flat code segments for guests.
const fn is_guest_gate_selector(selector: u64) -> bool {
    let in_ldt = selector & 4 != 0;
    in_ldt || (selector >> 3) < FIRST_RESERVED_GDT_ENTRY as u64 || selector | 3 == abi::segment::FLAT_KERNEL_CS as u64
}

impl<M: Machine> Mm<'_, M> {
    /// Checks all descriptors in a frame; the frame's count is 1, the caller's.
    pub(super) fn validate_descriptors(&mut self, mfn: Mfn, frame: &'static Frame) -> Result<(), Stop> {
        for index in 0..ENTRIES {
            let word = self.machine.word(mfn, index);
            let descriptor = word.load(Relaxed);
            let Some(checked) = check(descriptor) else {
                frame.set_usage(frame.usage().with(PageType::Descriptor, 0));
                return Err(Errno::INVAL.into());
            };
            if checked != descriptor {
                word.store(checked, Relaxed);
            }
        }
        frame.set_usage(frame.usage().set_validated(true));
        Ok(())
    }

    /// `update_descriptor`: writes one descriptor by machine address, into a descriptor table or into plain memory.
    ///
    /// # Errors
    /// -EINVAL if the descriptor is not allowed, or the frame is not the domain's or is a page table.
    pub fn update_descriptor(&mut self, slot: Slot, descriptor: u64, owner: DomId) -> Result<(), Stop> {
        let descriptor = check(descriptor).ok_or(Errno::INVAL)?;
        let frame = self.frames.get(slot.table).ok_or(Errno::INVAL)?;
        let is_table = frame.usage().is(PageType::Descriptor);
        let held_as = if is_table { PageType::Descriptor } else { PageType::Writable };
        self.get_frame_as(slot.table, owner, held_as)?;
        self.machine.word(slot.table, slot.index).store(descriptor, Relaxed);
        self.put_frame_as(slot.table);
        Ok(())
    }
}
