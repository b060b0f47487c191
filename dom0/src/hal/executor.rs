//! Running tasks: poll what was woken, and block in the hypervisor when nothing was.

use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};
use pv_guest_sdk::events;

static WOKEN: AtomicBool = AtomicBool::new(true);

/// What the executor calls, from tasks and from event handlers, when a task can go on.
// SAFETY: the symbol that embassy-executor declares, with its signature; nobody else defines it.
#[unsafe(export_name = "__pender")]
fn pend(_: *mut ()) {
    WOKEN.store(true, Ordering::Release);
}

/// Starts tasks by `start` and runs them for ever.
pub fn run(start: impl FnOnce(Spawner)) -> ! {
    // The executor must never move or go away; this function never returns.
    let executor: &'static raw::Executor = alloc::boxed::Box::leak(alloc::boxed::Box::new(raw::Executor::new(core::ptr::null_mut())));
    start(executor.spawner());
    loop {
        events::wait_until(|| WOKEN.swap(false, Ordering::Acquire));
        // SAFETY: this is the only place that polls, and it is not reentered: event handlers only pend.
        unsafe { executor.poll() };
    }
}
