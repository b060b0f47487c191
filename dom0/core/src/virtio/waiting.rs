//! Waiting for room on a disk, in the order of asking.

use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// Who waits for room.
#[derive(Default)]
pub struct Waiting {
    line: RefCell<VecDeque<(u64, Waker)>>,
    next: Cell<u64>,
    /// Whoever came out of the line last may submit, until it kicks.
    admitted: Cell<bool>,
}

impl Waiting {
    /// Whether a newcomer has to wait although there may be room.
    pub fn closed(&self) -> bool {
        !self.admitted.get() && !self.line.borrow().is_empty()
    }

    /// Who was admitted has submitted what it had.
    pub fn kicked(&self) {
        self.admitted.set(false);
    }

    /// There is room now.
    pub fn wake(&self) {
        if let Some((_, waker)) = self.line.borrow().front() {
            waker.wake_by_ref();
        }
    }

    /// Waits until it is this caller's turn and `ready` says so.
    pub fn turn<'a>(&'a self, ready: impl Fn() -> bool + Unpin + 'a) -> impl Future<Output = ()> + 'a {
        Turn { waiting: self, ticket: None, ready }
    }

    fn leave(&self, ticket: u64) {
        self.line.borrow_mut().retain(|(other, _)| *other != ticket);
        self.wake();
    }
}

struct Turn<'a, F> {
    waiting: &'a Waiting,
    ticket: Option<u64>,
    ready: F,
}

impl<F: Fn() -> bool + Unpin> Future for Turn<'_, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waiting = self.waiting;
        let ticket = *self.ticket.get_or_insert_with(|| {
            let ticket = waiting.next.get();
            waiting.next.set(ticket + 1);
            waiting.line.borrow_mut().push_back((ticket, context.waker().clone()));
            ticket
        });
        let first = waiting.line.borrow().front().is_some_and(|(front, _)| *front == ticket);
        if first && (self.ready)() {
            self.ticket = None;
            // The next may find room, too, once this one has taken what it needs.
            waiting.leave(ticket);
            waiting.admitted.set(true);
            return Poll::Ready(());
        }
        if let Some((_, waker)) = waiting.line.borrow_mut().iter_mut().find(|(other, _)| *other == ticket) {
            waker.clone_from(context.waker());
        }
        Poll::Pending
    }
}

impl<F> Drop for Turn<'_, F> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.waiting.leave(ticket);
        }
    }
}
