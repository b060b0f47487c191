//! Waiting for a time. One hypervisor timer serves all waiting tasks.

use alloc::vec::Vec;
use core::cell::RefCell;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use critical_section::Mutex;
use pv_guest_sdk::time;

/// Tasks that wait, and the number of the next wait.
struct Waiting {
    tasks: Vec<Task>,
    next: u64,
}

struct Task {
    wait: u64,
    /// Nanoseconds since boot.
    deadline: u64,
    waker: Waker,
}

static WAITING: Mutex<RefCell<Waiting>> = Mutex::new(RefCell::new(Waiting { tasks: Vec::new(), next: 0 }));

/// Takes the timer.
pub fn init() {
    time::on_timer(|_| fire());
}

/// Wakes whose time has come and sets the timer for the next. Runs as an event handler.
fn fire() {
    critical_section::with(|section| {
        let mut waiting = WAITING.borrow_ref_mut(section);
        let now = time::now();
        waiting.tasks.retain(|task| {
            let due = task.deadline <= now;
            if due {
                task.waker.wake_by_ref();
            }
            !due
        });
        if let Some(next) = waiting.tasks.iter().map(|task| task.deadline).min() {
            // A time that has passed fires at once.
            let _ = time::set_timer(next);
        }
    });
}

/// Waits until `deadline` (ns since boot).
pub fn sleep_until(deadline: u64) -> Sleep {
    Sleep { deadline, wait: None }
}

/// A wait for a time. Who gives it up is not listed any more.
pub struct Sleep {
    deadline: u64,
    wait: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if time::now() >= self.deadline {
            return Poll::Ready(());
        }
        critical_section::with(|section| {
            let mut waiting = WAITING.borrow_ref_mut(section);
            let known = waiting.tasks.iter_mut().find(|task| Some(task.wait) == self.wait);
            if let Some(task) = known {
                task.waker.clone_from(context.waker());
                return;
            }
            let wait = waiting.next;
            waiting.next += 1;
            waiting.tasks.push(Task { wait, deadline: self.deadline, waker: context.waker().clone() });
            self.wait = Some(wait);
        });
        fire();
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if self.wait.is_some() {
            critical_section::with(|section| WAITING.borrow_ref_mut(section).tasks.retain(|task| Some(task.wait) != self.wait));
        }
    }
}

/// Waits for so many nanoseconds.
pub async fn sleep(ns: u64) {
    sleep_until(time::now().saturating_add(ns)).await;
}
