//! Running tasks: poll what was woken, and block in the hypervisor when nothing was.

use alloc::boxed::Box;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};
use pv_guest_sdk::events;

use super::task_cell::TaskCell;

/// Tasks at most that [`spawn`] has started and that have not ended.
const SPAWNED_MAX: usize = 1024;

static WOKEN: AtomicBool = AtomicBool::new(true);
static SPAWNER: TaskCell<Option<Spawner>> = TaskCell::new(None);

/// What the executor calls, from tasks and from event handlers, when a task can go on.
// SAFETY: the symbol that embassy-executor declares, with its signature; nobody else defines it.
#[unsafe(export_name = "__pender")]
fn pend(_: *mut ()) {
    WOKEN.store(true, Ordering::Release);
}

/// Starts tasks by `start` and runs them for ever.
pub fn run(start: impl FnOnce(Spawner)) -> ! {
    // The executor must never move or go away; this function never returns.
    let executor: &'static raw::Executor = Box::leak(Box::new(raw::Executor::new(core::ptr::null_mut())));
    SPAWNER.with(|spawner| *spawner = Some(executor.spawner()));
    start(executor.spawner());
    loop {
        events::wait_until(|| WOKEN.swap(false, Ordering::Acquire));
        // SAFETY: this is the only place that polls, and it is not reentered: event handlers only pend.
        unsafe { executor.poll() };
    }
}

/// Too many tasks run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyTasks;

/// Starts a task that comes and goes, such as a device's.
///
/// # Errors
/// [`TooManyTasks`]; the work is dropped.
pub fn spawn(work: impl Future<Output = ()> + 'static) -> Result<(), TooManyTasks> {
    let task = boxed(Box::pin(work)).map_err(|_| TooManyTasks)?;
    SPAWNER.with(|spawner| spawner.map(|spawner| spawner.spawn(task))).ok_or(TooManyTasks)
}

#[embassy_executor::task(pool_size = SPAWNED_MAX)]
async fn boxed(work: Pin<Box<dyn Future<Output = ()>>>) {
    work.await;
}
