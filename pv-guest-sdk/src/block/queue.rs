//! A ring that tasks share: requests are futures here. The lock is held for moments only, and nobody is woken while it is held.

use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::Error;
use super::engine::{Data, Engine, Kept};
use super::machine::Machine;
use super::page::{self, Page};
use super::request::Operation;
use super::slots::Id;
use crate::events::Port;
use crate::grants::GrantRef;
use crate::sync::IrqMutex;

/// A shared ring.
pub struct Queue<M: Machine> {
    engine: IrqMutex<Engine<M>>,
    port: Port,
    ring_grants: Vec<GrantRef>,
}

impl<M: Machine> Queue<M> {
    /// Shares a ring.
    pub fn new(engine: Engine<M>) -> Queue<M> {
        let port = engine.port();
        let ring_grants = engine.ring_grants().to_vec();
        Queue { engine: IrqMutex::new(engine), port, ring_grants }
    }

    /// The grants of the ring's pages, in order.
    pub fn ring_grants(&self) -> &[GrantRef] {
        &self.ring_grants
    }

    /// Its event channel.
    pub fn port(&self) -> Port {
        self.port
    }

    /// Requests that are open, or whose answer nobody has taken yet.
    pub fn used(&self) -> usize {
        self.engine.lock().used()
    }

    /// Does something with the ring, then wakes whom that concerns.
    fn with<R>(&self, act: impl FnOnce(&mut Engine<M>, &mut Vec<Waker>) -> R) -> R {
        let mut wakers = Vec::new();
        let result = act(&mut self.engine.lock(), &mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    /// The other end has rung: takes what is answered. For event handlers.
    pub fn rang(&self) {
        while self.with(Engine::receive) {}
    }

    /// Ends the use of the ring: what is open ends with `error`.
    pub fn fail(&self, error: Error) {
        self.with(|engine, wakers| engine.fail(error, wakers));
    }

    /// Why the ring is not in use any more.
    pub fn failure(&self) -> Option<Error> {
        self.engine.lock().failure()
    }

    /// Has everybody who waits look again.
    pub fn wake_all(&self) {
        self.with(Engine::all_wakers);
    }

    /// Has `waker` woken when the ring fails, or everybody is woken. One may watch.
    pub fn watch(&self, waker: &Waker) {
        let stale = self.engine.lock().watch(waker);
        drop(stale);
    }

    /// Has him look who watches.
    pub fn wake_watcher(&self) {
        self.with(|engine, wakers| wakers.extend(engine.watcher()));
    }

    /// The end; returns what the other end would not let go of.
    pub fn close(&self) -> Vec<Kept> {
        self.with(Engine::close)
    }

    /// Sends a request if there is room now.
    ///
    /// # Errors
    /// As for [`Engine::send`].
    pub fn try_send(&self, operation: Operation, data: &mut Data<'_, M>) -> Result<Option<Ticket<'_, M>>, Error> {
        let id = self.engine.lock().send(operation, data, None)?;
        Ok(id.map(|id| Ticket { queue: self, id: Some(id) }))
    }

    /// Sends a request as soon as there is room.
    ///
    /// # Errors
    /// As for [`Engine::send`].
    pub async fn send(&self, operation: Operation, data: &mut Data<'_, M>) -> Result<Ticket<'_, M>, Error> {
        poll_fn(|context| match self.engine.lock().send(operation, data, Some(context.waker())) {
            Ok(Some(id)) => Poll::Ready(Ok(Ticket { queue: self, id: Some(id) })),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }
}

/// A request that was sent: a future of its answer. Whoever drops it forgets the answer; the request is carried out all the same.
#[must_use = "the answer may be an error"]
pub struct Ticket<'q, M: Machine> {
    queue: &'q Queue<M>,
    id: Option<Id>,
}

impl<'q, M: Machine> Future for Ticket<'q, M> {
    type Output = Result<Answer<'q, M>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(id) = self.id else { return Poll::Pending };
        match self.queue.with(|engine, wakers| engine.take(id, context.waker(), wakers)) {
            None => Poll::Pending,
            Some((result, held)) => {
                self.id = None;
                let answer = Answer { queue: self.queue, pages: held.pages };
                Poll::Ready(result.map(|()| answer))
            }
        }
    }
}

impl<M: Machine> Drop for Ticket<'_, M> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.queue.with(|engine, wakers| engine.abandon(id, wakers));
        }
    }
}

/// The pages that an answer came in. Dropping it gives them back.
pub struct Answer<'q, M: Machine> {
    queue: &'q Queue<M>,
    pages: Vec<Page>,
}

impl<M: Machine> Answer<'_, M> {
    /// Copies what was read.
    pub fn copy_to(&self, data: &mut [u8]) {
        page::empty(&self.pages, data);
    }
}

impl<M: Machine> Drop for Answer<'_, M> {
    fn drop(&mut self) {
        let pages = core::mem::take(&mut self.pages);
        self.queue.with(|engine, wakers| engine.give_and_wake(pages, wakers));
    }
}
