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

/// A domain's lists, for the check of tests.
#[cfg(any(test, feature = "fake"))]
#[derive(Debug, Default)]
pub struct Lists {
    /// Frames that it has.
    pub allocated: std::vec::Vec<Mfn>,
    /// Frames that it gave back and that are referred to.
    pub lingering: std::vec::Vec<Mfn>,
    /// The same, seen by teardown.
    pub released: std::vec::Vec<Mfn>,
    /// Tables to take apart.
    pub work: std::vec::Vec<Mfn>,
}

#[cfg(any(test, feature = "fake"))]
impl Frames {
    /// A domain's lists, for the check of tests.
    pub fn lists_for_check(&self, domain: DomId) -> Lists {
        let account = self.of(domain);
        let follow = |first: u32, next: fn(&super::Frame) -> u32| {
            let mut list = std::vec::Vec::new();
            let mut at = some(first);
            while let Some(mfn) = at {
                list.push(mfn);
                assert!(list.len() <= self.table.len(), "a list goes round in circles");
                at = some(next(self.known(mfn)));
            }
            list
        };
        Lists {
            allocated: follow(account.allocated, |frame| frame.next.load(Relaxed)),
            lingering: follow(account.lingering, |frame| frame.next.load(Relaxed)),
            released: follow(account.released, |frame| frame.next.load(Relaxed)),
            work: follow(account.work, |frame| frame.work.load(Relaxed)),
        }
    }
}
