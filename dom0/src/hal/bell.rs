//! Bells: what tasks wait for, and what event handlers and other tasks ring. Nobody polls: a task that finds nothing to do sleeps.

use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use pv_guest_sdk::sync::IrqMutex;

/// Wakes all tasks that wait at it.
pub struct Bell {
    waiting: IrqMutex<Vec<Waker>>,
}

impl Bell {
    /// A bell at which nobody waits.
    pub const fn new() -> Self {
        Self { waiting: IrqMutex::new(Vec::new()) }
    }

    /// Lets all who wait look again. For tasks and event handlers.
    pub fn ring(&self) {
        self.waiting.lock().drain(..).for_each(Waker::wake);
    }

    /// Waits until `ready` has something; it is asked at once and after each ring. It must not ring this bell.
    pub async fn wait_for<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        poll_fn(|context| {
            // Registered first: a ring between the question and the wait is not lost.
            self.register(context.waker());
            ready().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn register(&self, waker: &Waker) {
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }
}
