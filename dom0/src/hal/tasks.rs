//! What Dom0's tasks are and how long each has run, for `ps`: a task accounts for itself by being wrapped.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU32, Ordering};

use dom0_core::render::Task;
use pv_guest_sdk::sync::IrqMutex;
use pv_guest_sdk::time;

/// A task's account.
struct Account {
    id: u32,
    name: &'static str,
    running: bool,
    time_ns: u64,
}

static ACCOUNTS: IrqMutex<Vec<Account>> = IrqMutex::new(Vec::new());

/// The number of the last task.
static LAST: AtomicU32 = AtomicU32::new(0);

/// Runs a task's work under a name; the time that each poll takes is its own. The account ends with the work.
pub async fn named(name: &'static str, work: impl Future<Output = ()>) {
    let mut work = Box::pin(work);
    let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    ACCOUNTS.lock().push(Account { id, name, running: false, time_ns: 0 });
    poll_fn(|context| {
        let start = time::now();
        change(id, |account| account.running = true);
        let result = work.as_mut().poll(context);
        let spent = time::now().saturating_sub(start);
        change(id, |account| {
            account.running = false;
            account.time_ns += spent;
        });
        result
    })
    .await;
    ACCOUNTS.lock().retain(|account| account.id != id);
}

fn change(id: u32, act: impl FnOnce(&mut Account)) {
    let mut accounts = ACCOUNTS.lock();
    // Numbers only grow, and so does the list.
    if let Ok(index) = accounts.binary_search_by_key(&id, |account| account.id) {
        act(&mut accounts[index]);
    }
}

/// All tasks, in the order of their start.
pub fn list() -> Vec<Task<'static>> {
    let accounts = ACCOUNTS.lock();
    let task = |account: &Account| Task {
        id: account.id,
        name: account.name,
        state: if account.running { "running" } else { "waiting" },
        time_ns: account.time_ns,
    };
    accounts.iter().map(task).collect()
}
