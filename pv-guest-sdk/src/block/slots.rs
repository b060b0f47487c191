//! The requests that are open: which numbers they have on the ring, what they hold, who waits for them.
//!
//! A number is used once: its lower half is a place in the table, its upper half counts. So a response that comes twice, or late, or that was made up,
//! is told from the one that is due.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::task::Waker;

use super::buffer::Lent;
use super::machine::Machine;
use super::page::Page;
use super::request::Operation;
use super::{Breach, Error};
use crate::grants::GrantRef;

/// The number of a request, as on the ring.
pub type Id = u64;

/// What a request holds while it is open.
#[derive(Debug)]
pub struct Held<M: Machine> {
    /// Pages of the pool: first those of the data, then those of segments.
    pub pages: Vec<Page>,
    /// The caller's own memory.
    pub lent: Option<Lent<M>>,
    /// The grants of that.
    pub grants: Vec<GrantRef>,
}

#[derive(Debug)]
enum Stage {
    Free,
    /// Sent. Somebody waits, or will.
    Open(Option<Waker>),
    /// Sent. Nobody waits any more.
    Abandoned,
    Answered(Result<(), Error>),
}

#[derive(Debug)]
struct Slot<M: Machine> {
    turn: u32,
    stage: Stage,
    operation: Operation,
    held: Option<Held<M>>,
}

/// The table.
#[derive(Debug)]
pub struct Slots<M: Machine> {
    slots: Box<[Slot<M>]>,
    free: Vec<u32>,
}

/// What a response has ended.
#[derive(Debug)]
pub enum Ended<M: Machine> {
    /// Somebody waits for it.
    Awaited(Option<Waker>),
    /// Nobody does: this is what it held.
    Forgotten(Held<M>),
}

impl<M: Machine> Slots<M> {
    /// As many as the ring has.
    pub fn new(count: u32) -> Slots<M> {
        let slot = |_| Slot { turn: 0, stage: Stage::Free, operation: Operation::Flush, held: None };
        Slots { slots: (0..count).map(slot).collect(), free: (0..count).rev().collect() }
    }

    /// Whether another request can be opened.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// How many requests are open or not yet asked about.
    pub fn used(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The number that [`Self::open`] will give.
    pub fn next(&self) -> Option<Id> {
        let &index = self.free.last()?;
        Some(Id::from(self.slots[index as usize].turn) << 32 | Id::from(index))
    }

    /// Opens a request under the number that [`Self::next`] has told.
    pub fn open(&mut self, operation: Operation, held: Held<M>) {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            (slot.stage, slot.operation, slot.held) = (Stage::Open(None), operation, Some(held));
        }
    }

    fn find(&mut self, id: Id) -> Option<&mut Slot<M>> {
        let slot = self.slots.get_mut(usize::try_from(id & 0xffff_ffff).ok()?)?;
        (slot.turn == (id >> 32) as u32).then_some(slot)
    }

    /// What an open request holds, if `operation` answers it.
    ///
    /// # Errors
    /// [`Breach::Id`], [`Breach::Operation`].
    pub fn due(&mut self, id: Id, operation: u8) -> Result<&mut Held<M>, Breach> {
        let slot = self.find(id).filter(|slot| matches!(slot.stage, Stage::Open(_) | Stage::Abandoned)).ok_or(Breach::Id)?;
        if !slot.operation.answers(operation) {
            return Err(Breach::Operation);
        }
        slot.held.as_mut().ok_or(Breach::Id)
    }

    /// Ends a request that [`Self::due`] has found.
    pub fn end(&mut self, id: Id, result: Result<(), Error>) -> Option<Ended<M>> {
        let slot = self.find(id)?;
        match core::mem::replace(&mut slot.stage, Stage::Answered(result)) {
            Stage::Open(waker) => Some(Ended::Awaited(waker)),
            Stage::Abandoned => self.free(id).map(Ended::Forgotten),
            other => {
                slot.stage = other;
                None
            }
        }
    }

    /// The numbers of those that are not answered.
    pub fn unanswered(&self) -> Vec<Id> {
        let open = |slot: &Slot<M>| matches!(slot.stage, Stage::Open(_) | Stage::Abandoned);
        let number = |(index, slot): (usize, &Slot<M>)| open(slot).then_some(Id::from(slot.turn) << 32 | index as Id);
        self.slots.iter().enumerate().filter_map(number).collect()
    }

    /// What an open request holds.
    pub fn held(&mut self, id: Id) -> Option<&mut Held<M>> {
        self.find(id)?.held.as_mut()
    }

    /// The result of a request and what it held, or `None` if it is open; then `waker` is woken when it is not.
    pub fn take(&mut self, id: Id, waker: &Waker) -> Option<(Result<(), Error>, Held<M>)> {
        let slot = self.find(id)?;
        match &mut slot.stage {
            Stage::Answered(result) => {
                let result = *result;
                Some((result, self.free(id)?))
            }
            Stage::Open(known) => {
                if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
                    *known = Some(waker.clone());
                }
                None
            }
            Stage::Free | Stage::Abandoned => None,
        }
    }

    /// Nobody will ask about a request any more. What it held, if it is answered.
    pub fn abandon(&mut self, id: Id) -> Option<Held<M>> {
        let slot = self.find(id)?;
        match slot.stage {
            Stage::Answered(_) => self.free(id),
            Stage::Open(_) => {
                slot.stage = Stage::Abandoned;
                None
            }
            Stage::Free | Stage::Abandoned => None,
        }
    }

    /// The wakers of all that are open, to be woken for another reason than an answer.
    pub fn wakers(&mut self, into: &mut Vec<Waker>) {
        into.extend(self.slots.iter_mut().filter_map(|slot| match &mut slot.stage {
            Stage::Open(waker) => waker.take(),
            _ => None,
        }));
    }

    /// What all of them hold: for the end, when all are answered and nobody can ask any more.
    pub fn clear(&mut self) -> Vec<Held<M>> {
        self.slots.iter_mut().filter_map(|slot| slot.held.take()).collect()
    }

    fn free(&mut self, id: Id) -> Option<Held<M>> {
        let slot = self.find(id)?;
        slot.stage = Stage::Free;
        slot.turn = slot.turn.wrapping_add(1);
        let held = slot.held.take();
        self.free.push((id & 0xffff_ffff) as u32);
        held
    }
}
