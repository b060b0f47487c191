//! Several tasks at once: each is polled only when it was woken, so that what a request costs does not grow with how many there are.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use pv_guest_sdk::sync::IrqMutex;
use pv_guest_sdk::task::block_on;

/// A task.
pub type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Who is to be polled, and how to say that somebody is.
#[derive(Default)]
struct Ready {
    numbers: Vec<usize>,
    outer: Option<Waker>,
}

struct Bell {
    ready: Arc<IrqMutex<Ready>>,
    number: usize,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let outer = {
            let mut ready = self.ready.lock();
            ready.numbers.push(self.number);
            ready.outer.take()
        };
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

/// Runs all to their ends.
pub fn run(tasks: Vec<Task<'_>>) {
    let ready = Arc::new(IrqMutex::new(Ready { numbers: (0..tasks.len()).collect(), outer: None }));
    let bell = |number| Waker::from(Arc::new(Bell { ready: Arc::clone(&ready), number }));
    let mut left = tasks.len();
    let mut tasks: Vec<(Waker, Option<Task<'_>>)> =
        tasks.into_iter().enumerate().map(|(number, task)| (bell(number), Some(task))).collect();
    let mut numbers = Vec::new();
    block_on(poll_fn(|context| {
        loop {
            {
                let mut ready = ready.lock();
                core::mem::swap(&mut ready.numbers, &mut numbers);
                if numbers.is_empty() {
                    ready.outer = Some(context.waker().clone());
                }
            }
            if numbers.is_empty() {
                return if left == 0 { Poll::Ready(()) } else { Poll::Pending };
            }
            for number in numbers.drain(..) {
                let (waker, place) = &mut tasks[number];
                if let Some(task) = place
                    && task.as_mut().poll(&mut Context::from_waker(waker)).is_ready()
                {
                    *place = None;
                    left -= 1;
                }
            }
        }
    }));
}
