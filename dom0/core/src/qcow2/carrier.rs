//! One change of the metadata at a time, and each to its end.
//!
//! A request may be dropped while it waits for the disk below: its guest is gone. A change of the metadata must not stop half-way then, with a
//! write under way that a later one overtakes. So such work is carried by the image: whoever waits for it drives it, and when that one
//! goes, the next one does. This is also the lock: a second piece of work begins when the first has ended.
//!
//! Work must not wait for other work of the same carrier.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

type Work = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
pub(super) struct Carrier {
    /// Taken out while it is polled.
    work: RefCell<Option<Work>>,
    /// Somebody drives the work.
    driven: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Carrier {
    /// Has work done when it is its turn. If this is dropped before, the work has not been begun, or goes on with the next one's.
    pub async fn run<T: 'static>(&self, work: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(Cell::new(None));
        let answer = result.clone();
        let mut own: Option<Work> = Some(Box::pin(async move { answer.set(Some(work.await)) }));
        let mut driver = Driver { carrier: self, driving: false };
        poll_fn(|context| {
            loop {
                if let Some(value) = result.take() {
                    return Poll::Ready(value);
                }
                if self.driven.get() && !driver.driving {
                    self.wait(context);
                    return Poll::Pending;
                }
                let Some(mut work) = self.work.take().or_else(|| own.take()) else {
                    // Our own has been done, so there was a result.
                    return Poll::Pending;
                };
                driver.start();
                if work.as_mut().poll(context).is_pending() {
                    self.work.replace(Some(work));
                    return Poll::Pending;
                }
                driver.stop();
            }
        })
        .await
    }

    /// Whether nothing is being done.
    pub fn idle(&self) -> bool {
        !self.driven.get() && self.work.borrow().is_none()
    }

    /// Drops work that nobody waits for any more.
    pub fn abandon(&self) {
        drop(self.work.take());
    }

    fn wait(&self, context: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|known| known.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
    }
}

/// Whoever drives the work; when it goes, the others are told.
struct Driver<'a> {
    carrier: &'a Carrier,
    driving: bool,
}

impl Driver<'_> {
    fn start(&mut self) {
        self.driving = true;
        self.carrier.driven.set(true);
    }

    fn stop(&mut self) {
        if core::mem::take(&mut self.driving) {
            self.carrier.driven.set(false);
            self.carrier.waiting.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::walk::breathe;
    use super::*;
    use crate::block::fake::block_on;
    use core::future::pending;

    #[test]
    fn work_that_was_begun_is_finished_by_the_next() {
        let carrier = Carrier::default();
        let log = Rc::new(RefCell::new(Vec::new()));
        let step = |name: &'static str| {
            let log = log.clone();
            async move {
                log.borrow_mut().push((name, 1));
                breathe().await;
                log.borrow_mut().push((name, 2));
                name
            }
        };
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(carrier.run(step("first")));
        let mut second = Box::pin(carrier.run(step("second")));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(*log.borrow(), [("first", 1)]);
        drop(first);
        assert!(!carrier.idle());
        assert_eq!(block_on(second), "second");
        assert_eq!(*log.borrow(), [("first", 1), ("first", 2), ("second", 1), ("second", 2)]);
        assert!(carrier.idle());
    }

    #[test]
    fn who_never_began_leaves_nothing() {
        let carrier = Carrier::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = Box::pin(carrier.run(pending::<()>()));
        assert!(first.as_mut().poll(&mut context).is_pending());
        let mut second = Box::pin(carrier.run(async {}));
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(second);
        assert_eq!(carrier.waiting.borrow().len(), 1);
    }
}
