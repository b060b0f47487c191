//! What Dom0's tasks are and how long each has run, for `ps`: a task accounts for itself by being wrapped.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU32, Ordering};

use dom0_core::render::Task;
use pv_guest_sdk::time;

use super::task_cell::TaskCell;

/// A task's account, which the task has, too: it is written each time the task runs.
struct Account {
    id: u32,
    name: &'static str,
    running: Cell<bool>,
    time_ns: Cell<u64>,
}

/// In the order of their numbers.
static ACCOUNTS: TaskCell<Vec<Rc<Account>>> = TaskCell::new(Vec::new());

/// The number of the last task.
static LAST: AtomicU32 = AtomicU32::new(0);

/// Runs a task's work under a name; the time that each poll takes is its own. The account ends with the work.
pub async fn named(name: &'static str, work: impl Future<Output = ()>) {
    let mut work = Box::pin(work);
    let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    let account = Rc::new(Account { id, name, running: Cell::new(false), time_ns: Cell::new(0) });
    ACCOUNTS.with(|accounts| accounts.push(account.clone()));
    poll_fn(|context| {
        let start = time::now();
        account.running.set(true);
        let result = work.as_mut().poll(context);
        account.running.set(false);
        account.time_ns.set(account.time_ns.get() + time::now().saturating_sub(start));
        result
    })
    .await;
    ACCOUNTS.with(|accounts| accounts.retain(|account| account.id != id));
}

/// All tasks, in the order of their start.
pub fn list() -> Vec<Task<'static>> {
    let task = |account: &Rc<Account>| Task {
        id: account.id,
        name: account.name,
        state: if account.running.get() { "running" } else { "waiting" },
        time_ns: account.time_ns.get(),
    };
    ACCOUNTS.with(|accounts| accounts.iter().map(task).collect())
}
