//! Each domain's list of page tables to take apart: what bounds the recursion and the length of a step when a tree of tables is let go.
//!
//! A table whose count falls to zero is put here with all of its entries' references and is taken apart entry by entry, in slices, by
//! [`crate::mm::Mm::settle`]. A listed or partial frame holds one reference to itself, so it cannot be freed or change its type under way.

use core::sync::atomic::Ordering::Relaxed;

use super::{Frames, Owner, some};
use crate::ids::{DomId, Mfn};

impl Frames {
    /// True if the domain has tables to take apart.
    #[inline]
    pub fn has_work(&self, domain: DomId) -> bool {
        self.of(domain).work != 0
    }

    /// Puts a partial table on its owner's list, unless it is there.
    pub(crate) fn queue(&mut self, mfn: Mfn) {
        let frame = self.known(mfn);
        if !frame.usage().queued() {
            frame.set_usage(frame.usage().set_queued(true));
            self.push_work(mfn);
        }
    }

    /// Takes the first table off the list. It stays marked as queued: the caller clears that, or pushes it again.
    pub(crate) fn pop_work(&mut self, domain: DomId) -> Option<Mfn> {
        let mfn = some(self.of(domain).work)?;
        self.accounts[usize::from(domain)].work = self.known(mfn).work.swap(0, Relaxed);
        Some(mfn)
    }

    /// Puts a table that is marked as queued on the list.
    pub(crate) fn push_work(&mut self, mfn: Mfn) {
        let frame = self.known(mfn);
        let Owner::Domain(domain) = frame.owner() else { panic!("only domains have page tables") };
        let account = &mut self.accounts[usize::from(domain)];
        frame.work.store(account.work, Relaxed);
        account.work = mfn.0 as u32;
    }
}
