//! The smallest executor: runs one future to its end and blocks in the hypervisor whenever it has to wait.
//!
//! For kernels without an executor of their own. Wakers are plain, so the SDK's futures run on any other as well.

use core::pin::pin;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::{events, time};

/// Wake-ups, counted: a flag that is cleared would lose the outer one's when one `block_on` runs inside another.
static WAKES: AtomicU32 = AtomicU32::new(0);

static TABLE: RawWakerVTable = RawWakerVTable::new(|_| RAW, |_| wake(), |_| wake(), |_| {});
const RAW: RawWaker = RawWaker::new(ptr::null(), &TABLE);

fn wake() {
    WAKES.fetch_add(1, Ordering::Release);
}

fn waker() -> Waker {
    // SAFETY: the table's functions use no data, so every rule about it holds; they touch an atomic only.
    unsafe { Waker::from_raw(RAW) }
}

/// Runs a future to its end. No [`crate::sync::IrqMutex`] may be held, and it must not be called from an event handler.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = waker();
    let mut context = Context::from_waker(&waker);
    loop {
        // Read before the poll, so that a wake-up from within it counts.
        let seen = WAKES.load(Ordering::Acquire);
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        events::wait_until(|| WAKES.load(Ordering::Acquire) != seen);
    }
}

/// Runs a future to its end, or drops it at a system time and returns `None`. Takes the timer from whoever had set it.
pub fn block_on_until<F: Future>(future: F, deadline_ns: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = waker();
    let mut context = Context::from_waker(&waker);
    loop {
        let seen = WAKES.load(Ordering::Acquire);
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        if time::now() >= deadline_ns {
            return None;
        }
        events::wait_until(|| WAKES.load(Ordering::Acquire) != seen || time::now() >= deadline_ns || time::set_timer(deadline_ns).is_err());
    }
}
