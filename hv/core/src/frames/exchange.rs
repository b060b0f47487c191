//! Frames on their way: what a domain gives in an exchange and what it gets for it. Until it is settled, everything can go back.
//!
//! What was taken from the domain and what was taken from the allocator hang on two lists through the frame table, so nothing is allocated.
//! Taken frames count as the domain's still: an exchange needs no room in its account.

use core::sync::atomic::Ordering::Relaxed;

use super::{Frames, NoFrame, account};
use crate::ids::{DomId, Mfn};
use crate::machine::Machine;

/// What is on its way. It ends by [`Frames::undo_exchange`] or [`Frames::commit_exchange`].
#[derive(Debug)]
#[must_use]
pub struct Exchange {
    domain: DomId,
    /// Frames of the domain.
    given: u32,
    /// Free blocks, all of this order.
    wanted: u32,
    order: u32,
}

impl Exchange {
    /// Nothing yet; the blocks wanted have 2^`order` frames.
    pub const fn new(domain: DomId, order: u32) -> Self {
        Exchange { domain, given: 0, wanted: 0, order }
    }
}

impl Frames {
    /// Takes a frame from the domain. Only the domain's own reference may be there: no mapping, no type, no pin, nobody else.
    ///
    /// # Errors
    /// It is not such a frame, or was taken already.
    pub fn give_for_exchange(&mut self, exchange: &mut Exchange, mfn: Mfn) -> Result<(), NoFrame> {
        let frame = self.get(mfn).ok_or(NoFrame::Unavailable)?;
        if !frame.belongs_to(exchange.domain) || !frame.allocated() || frame.refs() != 1 {
            return Err(NoFrame::Unavailable);
        }
        frame.clear_allocated();
        let account = &mut self.accounts[usize::from(exchange.domain)];
        account::unlink(self.table, &mut account.heads(), mfn.0 as u32);
        account::link(self.table, &mut exchange.given, mfn.0 as u32);
        Ok(())
    }

    /// Takes a block from the allocator.
    ///
    /// # Errors
    /// There is none, or the domain is being destroyed.
    pub fn take_for_exchange(&mut self, exchange: &mut Exchange) -> Result<(), NoFrame> {
        if self.of(exchange.domain).closed {
            return Err(NoFrame::Limit);
        }
        let block = self.buddy.take(self.table, exchange.order).ok_or(NoFrame::Exhausted)?;
        account::link(self.table, &mut exchange.wanted, block);
        Ok(())
    }

    /// Everything goes back to where it was.
    pub fn undo_exchange(&mut self, mut exchange: Exchange) {
        while let Some(mfn) = self.pop(&mut exchange.given) {
            self.table[mfn as usize].set_allocated();
            account::link(self.table, &mut self.accounts[usize::from(exchange.domain)].allocated, mfn);
        }
        while let Some(block) = self.pop(&mut exchange.wanted) {
            self.buddy.give(self.table, block, exchange.order);
        }
    }

    /// The domain has the blocks now, zeroed, and its frames are free; `each` is told of every block.
    pub fn commit_exchange<M: Machine>(&mut self, machine: &M, mut exchange: Exchange, mut each: impl FnMut(Mfn)) {
        while let Some(mfn) = self.pop(&mut exchange.given) {
            machine.set_m2p(Mfn(mfn.into()), abi::layout::INVALID_M2P_ENTRY);
            self.accounts[usize::from(exchange.domain)].total -= 1;
            self.owned -= 1;
            self.table[mfn as usize].set_stamp(self.clock.now());
            self.buddy.give(self.table, mfn, 0);
        }
        while let Some(block) = self.pop(&mut exchange.wanted) {
            self.hand_over(machine, block, exchange.order, exchange.domain);
            each(Mfn(block.into()));
        }
    }

    fn pop(&self, head: &mut u32) -> Option<u32> {
        let first = (*head != 0).then_some(*head)?;
        account::unlink(self.table, &mut [&mut *head], first);
        debug_assert!(self.table[first as usize].prev.load(Relaxed) == 0, "the first of a list");
        Some(first)
    }
}
