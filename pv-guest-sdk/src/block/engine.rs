//! One ring, as a state machine: requests go in, responses come out, and nothing waits in here. What the back end writes is believed only as far as
//! it makes sense; what does not ends the ring's use.

use alloc::vec::Vec;
use core::mem;
use core::ptr::NonNull;
use core::task::Waker;

use abi::blkif::{Request, Response, STATUS_NOT_SUPPORTED, STATUS_OKAY};
use abi::layout::PAGE_SIZE;

use super::buffer::Lent;
use super::machine::Machine;
use super::page::{self, Page, Pool};
use super::request::{self, Operation};
use super::slots::{Ended, Held, Id, Slots};
use super::{Breach, Error};
use crate::events::Port;
use crate::grants::GrantRef;
use crate::ring::FrontRing;

/// Where the data of a request lies.
#[derive(Debug)]
pub enum Data<'a, M: Machine> {
    /// It is read to pages of the pool, or there is none.
    Pool,
    /// It is copied to pages of the pool.
    Copied(&'a [u8]),
    /// It lies in pages of the caller's, and stays there.
    Lent(Lent<M>),
}

/// How a ring is connected.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// The back end's domain.
    pub domid: u16,
    /// The event channel to it.
    pub port: Port,
    /// The device's number, as every request has it.
    pub handle: u16,
    /// The ring has 2^`order` pages.
    pub order: u32,
    /// Pages of the pool at most.
    pub pool: usize,
}

/// A ring and what belongs to it.
pub struct Engine<M: Machine> {
    machine: M,
    setup: Setup,
    ring: FrontRing<Request, Response>,
    /// `None` once it has been given back.
    ring_start: Option<NonNull<u8>>,
    ring_grants: Vec<GrantRef>,
    slots: Slots<M>,
    pool: Pool,
    /// Empty lists, so that a request allocates nothing.
    lists: Vec<Vec<Page>>,
    waiting: Vec<Waker>,
    watcher: Option<Waker>,
    failed: Option<Error>,
}

// SAFETY: the ring's memory and the pool's belong to this value alone.
unsafe impl<M: Machine + Send> Send for Engine<M> {}

impl<M: Machine> Engine<M> {
    /// Makes a ring and grants it.
    ///
    /// # Errors
    /// If there is no memory or no grant.
    pub fn new(machine: M, setup: Setup) -> Result<Engine<M>, Error> {
        let pages = 1 << setup.order;
        let start = machine.pages(pages).ok_or(Error::Memory)?;
        // SAFETY: the pages are fresh, aligned, and freed only when the engine has ended.
        let ring = unsafe { FrontRing::new(start, pages * PAGE_SIZE) };
        let slots = Slots::new(ring.size());
        let pool = Pool::new(setup.domid, setup.pool);
        let (ring_grants, lists, waiting) = (Vec::new(), Vec::new(), Vec::new());
        let mut engine =
            Engine { machine, setup, ring, ring_start: Some(start), ring_grants, slots, pool, lists, waiting, watcher: None, failed: None };
        for index in 0..pages {
            // SAFETY: the page lies in the ring, which is accessed as shared memory only.
            let gref = unsafe { engine.machine.grant(setup.domid, start.add(index * PAGE_SIZE), true) };
            match gref {
                Ok(gref) => engine.ring_grants.push(gref),
                Err(error) => {
                    engine.close(&mut Vec::new());
                    return Err(error.into());
                }
            }
        }
        Ok(engine)
    }

    /// The grants of the ring's pages, in order.
    pub fn ring_grants(&self) -> &[GrantRef] {
        &self.ring_grants
    }

    /// The event channel.
    pub fn port(&self) -> Port {
        self.setup.port
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Requests that are open, or whose answer nobody has taken yet.
    pub fn used(&self) -> usize {
        self.slots.used()
    }

    /// Sends a request. `None`, and `data` untouched, if there is no room now: then `waker` is woken when there may be.
    ///
    /// # Errors
    /// If the ring is not in use any more, or there is no memory or no grant.
    pub fn send(&mut self, operation: Operation, data: &mut Data<'_, M>, waker: Option<&Waker>) -> Result<Option<Id>, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let id = self.slots.next().filter(|_| self.ring.free() > 0);
        let held = match id {
            Some(_) => self.hold(operation, data)?,
            None => None,
        };
        let (Some(id), Some(held)) = (id, held) else {
            self.wait(waker);
            return Ok(None);
        };
        let tables = &held.pages[held.pages.len() - operation.segment_pages()..];
        let grant = |index: usize| held.grants.get(index).copied().unwrap_or_else(|| held.pages[index].gref);
        let request = request::slot(operation, self.setup.handle, id, tables, grant);
        // There is room: the ring was asked.
        let _ = self.ring.push(request);
        self.slots.open(operation, held);
        if self.ring.publish() {
            self.machine.notify(self.setup.port);
        }
        Ok(Some(id))
    }

    /// Has `waker` woken when the ring fails, or everybody is woken.
    pub fn watch(&mut self, waker: &Waker) -> Option<Waker> {
        self.watcher.replace(waker.clone())
    }

    /// Who is to be woken then.
    pub fn watcher(&mut self) -> Option<Waker> {
        self.watcher.take()
    }

    fn wait(&mut self, waker: Option<&Waker>) {
        if let Some(waker) = waker
            && !self.waiting.iter().any(|known| known.will_wake(waker))
        {
            self.waiting.push(waker.clone());
        }
    }

    /// Gets what a request needs, and fills it.
    fn hold(&mut self, operation: Operation, data: &mut Data<'_, M>) -> Result<Option<Held<M>>, Error> {
        let lent = matches!(data, Data::Lent(_));
        let count = operation.segment_pages() + if lent { 0 } else { operation.data_pages() };
        let mut pages = self.lists.pop().unwrap_or_default();
        let taken = self.pool.take(&self.machine, count, &mut pages);
        if taken != Ok(true) {
            self.lists.push(pages);
            return taken.map(|_| None);
        }
        match mem::replace(data, Data::Pool) {
            Data::Pool => {}
            Data::Copied(bytes) => {
                page::fill(&pages, bytes);
                *data = Data::Copied(bytes);
            }
            Data::Lent(lent) => match self.lend(operation, &lent) {
                Ok(grants) => return Ok(Some(Held { pages, lent: Some(lent), grants })),
                Err(error) => {
                    self.give(pages);
                    *data = Data::Lent(lent);
                    return Err(error);
                }
            },
        }
        Ok(Some(Held { pages, lent: None, grants: Vec::new() }))
    }

    /// Grants the caller's pages, for this request only. What is written to the disk may be read only.
    fn lend(&mut self, operation: Operation, lent: &Lent<M>) -> Result<Vec<GrantRef>, Error> {
        let writable = matches!(operation, Operation::Read { .. });
        let mut grants = Vec::with_capacity(lent.pages);
        for index in 0..lent.pages {
            // SAFETY: the request owns a share of the buffer, whose memory nobody reaches until all shares are gone, and they go only when the
            // grants are revoked.
            match unsafe { self.machine.grant(self.setup.domid, lent.buffer.page(lent.first + index), writable) } {
                Ok(gref) => grants.push(gref),
                Err(error) => {
                    // Nothing was sent, so the other end does not know of them.
                    grants.retain(|&gref| self.machine.revoke(gref).is_err());
                    return Err(error.into());
                }
            }
        }
        Ok(grants)
    }

    /// Takes what has been answered, some responses at most; `wakers` gets whom to wake. Whether there may be more.
    pub fn receive(&mut self, wakers: &mut Vec<Waker>) -> bool {
        const AT_ONCE: usize = 64;
        for _ in 0..AT_ONCE {
            if self.failed.is_some() {
                return false;
            }
            match self.ring.pop() {
                Ok(Some(response)) => self.answer(response, wakers),
                Ok(None) if self.ring.arm() => {}
                Ok(None) => return false,
                Err(_) => self.fail(Error::Breach(Breach::Index), wakers),
            }
        }
        true
    }

    fn answer(&mut self, response: Response, wakers: &mut Vec<Waker>) {
        let result = match response.status {
            STATUS_OKAY => Ok(()),
            STATUS_NOT_SUPPORTED => Err(Error::NotSupported),
            _ => Err(Error::Io),
        };
        match self.slots.due(response.id, response.operation) {
            Err(breach) => self.fail(Error::Breach(breach), wakers),
            Ok(held) => {
                if reclaim(&self.machine, held) {
                    self.end(response.id, result, wakers);
                } else {
                    self.fail(Error::Breach(Breach::StillMapped), wakers);
                }
            }
        }
    }

    fn end(&mut self, id: Id, result: Result<(), Error>, wakers: &mut Vec<Waker>) {
        match self.slots.end(id, result) {
            Some(Ended::Awaited(waker)) => wakers.extend(waker),
            Some(Ended::Forgotten(held)) => {
                self.give(held.pages);
                wakers.append(&mut self.waiting);
            }
            None => {}
        }
    }

    /// Ends the use of the ring: what is open ends with `error`, and so does what is asked for from now on.
    pub fn fail(&mut self, error: Error, wakers: &mut Vec<Waker>) {
        if self.failed.is_some() {
            return;
        }
        self.failed = Some(error);
        for id in self.slots.unanswered() {
            // Memory that the other end still maps is nobody's any more.
            if let Some(held) = self.slots.held(id) {
                reclaim(&self.machine, held);
            }
            self.end(id, Err(error), wakers);
        }
        wakers.append(&mut self.waiting);
        wakers.extend(self.watcher.take());
    }

    /// Why the ring is not in use any more.
    pub fn failure(&self) -> Option<Error> {
        self.failed
    }

    /// The result of a request and what it held; `None` if it is open: then `waker` is woken when it is not.
    pub fn take(&mut self, id: Id, waker: &Waker, wakers: &mut Vec<Waker>) -> Option<(Result<(), Error>, Held<M>)> {
        let taken = self.slots.take(id, waker)?;
        wakers.append(&mut self.waiting);
        Some(taken)
    }

    /// Nobody will ask about a request any more.
    pub fn abandon(&mut self, id: Id, wakers: &mut Vec<Waker>) {
        if let Some(held) = self.slots.abandon(id) {
            self.give(held.pages);
            wakers.append(&mut self.waiting);
        }
    }

    /// Takes pages of the pool back.
    pub fn give(&mut self, mut pages: Vec<Page>) {
        self.pool.give(&mut pages);
        self.lists.push(pages);
    }

    /// Takes pages back when somebody may be waiting for them.
    pub fn give_and_wake(&mut self, pages: Vec<Page>, wakers: &mut Vec<Waker>) {
        self.give(pages);
        wakers.append(&mut self.waiting);
    }

    /// Everybody who waits for anything.
    pub fn all_wakers(&mut self, wakers: &mut Vec<Waker>) {
        self.slots.wakers(wakers);
        wakers.append(&mut self.waiting);
        wakers.extend(self.watcher.take());
    }

    /// The end: revokes all grants. Returns the pages that the other end still has mapped, the ring's among them, each with its grant.
    pub fn close(&mut self, wakers: &mut Vec<Waker>) -> Vec<Kept> {
        self.fail(Error::Stopped, wakers);
        let mut kept = Vec::new();
        for held in self.slots.clear() {
            self.give(held.pages);
        }
        for page in self.pool.drain() {
            if let Err(page) = page.release(&self.machine) {
                kept.push(Kept::Page(page));
            }
        }
        let pages = 1usize << self.setup.order;
        let grants = mem::take(&mut self.ring_grants);
        if let Some(start) = self.ring_start.take()
            && let Err(ring) = (Kept::Ring { start, pages, grants }).retry(&self.machine)
        {
            kept.push(ring);
        }
        kept
    }
}

/// Takes back the grants of the caller's memory. If that fails the memory is lost: the other end may still use it.
fn reclaim<M: Machine>(machine: &M, held: &mut Held<M>) -> bool {
    held.grants.retain(|&gref| machine.revoke(gref).is_err());
    if held.grants.is_empty() {
        // Only now may the memory be used again.
        held.lent = None;
        return true;
    }
    mem::forget(held.lent.take());
    false
}

/// Memory that the other end would not let go of.
#[derive(Debug)]
pub enum Kept {
    /// A page of a pool.
    Page(Page),
    /// A ring: what is left of its grants.
    Ring {
        /// Its memory.
        start: NonNull<u8>,
        /// Its pages.
        pages: usize,
        /// The grants that are still in use.
        grants: Vec<GrantRef>,
    },
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Kept {}

impl Kept {
    /// Tries again to take it back.
    ///
    /// # Errors
    /// Itself, if the other end still uses it.
    pub fn retry<M: Machine>(self, machine: &M) -> Result<(), Kept> {
        match self {
            Kept::Page(page) => page.release(machine).map_err(Kept::Page),
            Kept::Ring { start, pages, mut grants } => {
                grants.retain(|&gref| machine.revoke(gref).is_err());
                if !grants.is_empty() {
                    return Err(Kept::Ring { start, pages, grants });
                }
                // SAFETY: it came from there, no grant of it is left, and the ring has ended.
                unsafe { machine.free(start, pages) };
                Ok(())
            }
        }
    }
}
