//! Waiting for a time. One hypervisor timer serves all waiting tasks.

use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use critical_section::Mutex;
use pv_guest_sdk::time;

/// Tasks that wait, with their times (ns since boot).
static WAITING: Mutex<RefCell<Vec<(u64, Waker)>>> = Mutex::new(RefCell::new(Vec::new()));

/// Takes the timer.
pub fn init() {
    time::on_timer(|_| fire());
}

/// Wakes whose time has come and sets the timer for the next. Runs as an event handler.
fn fire() {
    critical_section::with(|section| {
        let mut waiting = WAITING.borrow_ref_mut(section);
        let now = time::now();
        waiting.retain(|(deadline, waker)| {
            let due = *deadline <= now;
            if due {
                waker.wake_by_ref();
            }
            !due
        });
        if let Some(next) = waiting.iter().map(|(deadline, _)| *deadline).min() {
            // A time that has passed fires at once.
            let _ = time::set_timer(next);
        }
    });
}

/// Waits until `deadline` (ns since boot).
pub async fn sleep_until(deadline: u64) {
    poll_fn(|context| {
        if time::now() >= deadline {
            return Poll::Ready(());
        }
        critical_section::with(|section| {
            let mut waiting = WAITING.borrow_ref_mut(section);
            // A task that waits for something else as well asks again whenever that wakes it.
            if !waiting.iter().any(|(known, waker)| *known == deadline && waker.will_wake(context.waker())) {
                waiting.push((deadline, context.waker().clone()));
            }
        });
        fire();
        Poll::Pending
    })
    .await;
}

/// Waits for so many nanoseconds.
pub async fn sleep(ns: u64) {
    sleep_until(time::now().saturating_add(ns)).await;
}
