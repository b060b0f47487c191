//! An executor that sees a lost wake-up: a task is polled only when it was woken, and if none is while the back end has nothing to do, that is a
//! failure.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

pub(crate) struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(crate) type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A waker with a flag, which starts set.
pub(crate) fn flagged() -> (Arc<Flag>, Waker) {
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    (Arc::clone(&flag), Waker::from(flag))
}

/// Runs tasks to their ends; `others` lets the back end work and says whether it did anything.
pub(crate) fn run(tasks: Vec<Task<'_>>, mut others: impl FnMut() -> bool) {
    let mut tasks: Vec<_> = tasks.into_iter().map(|task| (Some(task), flagged())).collect();
    while tasks.iter().any(|(task, _)| task.is_some()) {
        let mut moved = false;
        for (place, (flag, waker)) in &mut tasks {
            if let Some(task) = place
                && flag.0.swap(false, Ordering::SeqCst)
            {
                moved = true;
                if task.as_mut().poll(&mut Context::from_waker(waker)) == Poll::Ready(()) {
                    *place = None;
                }
            }
        }
        moved |= others();
        assert!(moved, "all wait, and nobody will wake them");
    }
}
