//! What Dom0's tasks are and how long each has run, for `ps`: a task accounts for itself by being wrapped.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::poll_fn;

use dom0_core::render::Task;
use pv_guest_sdk::sync::IrqMutex;
use pv_guest_sdk::time;

/// A task's account.
struct Account {
    name: &'static str,
    running: bool,
    time_ns: u64,
}

static ACCOUNTS: IrqMutex<Vec<Account>> = IrqMutex::new(Vec::new());

/// Runs a task's work under a name; the time that each poll takes is its own.
pub async fn named(name: &'static str, work: impl Future<Output = ()>) {
    let mut work = Box::pin(work);
    let index = {
        let mut accounts = ACCOUNTS.lock();
        accounts.push(Account { name, running: false, time_ns: 0 });
        accounts.len() - 1
    };
    poll_fn(|context| {
        let start = time::now();
        change(index, |account| account.running = true);
        let result = work.as_mut().poll(context);
        let spent = time::now().saturating_sub(start);
        change(index, |account| {
            account.running = false;
            account.time_ns += spent;
        });
        result
    })
    .await;
}

fn change(index: usize, act: impl FnOnce(&mut Account)) {
    if let Some(account) = ACCOUNTS.lock().get_mut(index) {
        act(account);
    }
}

/// All tasks, in the order of their start.
pub fn list() -> Vec<Task<'static>> {
    let accounts = ACCOUNTS.lock();
    let task = |(id, account): (u32, &Account)| Task {
        id,
        name: account.name,
        state: if account.running { "running" } else { "waiting" },
        time_ns: account.time_ns,
    };
    (1..).zip(accounts.iter()).map(task).collect()
}
