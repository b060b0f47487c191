//! The end of a domain's memory: everything is let go, in slices, whatever state the guest left it in.

use super::Mm;
use crate::ids::DomId;
use crate::machine::Machine;

/// How many frames go between two looks for an interrupt.
const SLICE: u32 = 32;

impl<M: Machine> Mm<'_, M> {
    /// Lets go of all frames of a dying domain; false if an interrupt waits and there is more to do: call again. Afterwards only frames that
    /// others refer to are left ([`crate::frames::DomainFrames::total`]); they are freed when those let go.
    ///
    /// The domain's vCPUs must have lost their tables ([`super::base::drop_tables`]), descriptor tables and LDTs before.
    pub fn relinquish(&mut self, domain: DomId) -> bool {
        self.frames.close(domain);
        let mut slice = 0;
        while let Some(mfn) = self.frames.first_of(domain) {
            self.frames.give_back(mfn, domain).expect("it is on the list");
            if self.slice_ends(&mut slice) {
                return false;
            }
        }
        while let Some(mfn) = self.frames.next_lingering(domain) {
            let usage = self.frames.known(mfn).usage();
            if usage.partial() {
                self.frames.queue(mfn);
            }
            if usage.pinned() {
                self.unpin(domain, mfn).expect("it is pinned and its own");
            }
            if self.slice_ends(&mut slice) {
                return false;
            }
        }
        if !self.settle(domain) {
            return false;
        }
        self.frames.devices.forget(domain);
        true
    }

    fn slice_ends(&self, slice: &mut u32) -> bool {
        *slice += 1;
        slice.is_multiple_of(SLICE) && self.machine.interrupt_pending()
    }
}
