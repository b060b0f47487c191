//! What tasks share that is not made for threads: tasks never run at the same time, but statics must be `Sync`.

use core::cell::OnceCell;

use pv_guest_sdk::events;

/// A value that is set once, at boot, and used by tasks only.
pub struct Local<T>(OnceCell<T>);

// SAFETY: there is one vCPU, tasks are not preempted by each other, and event handlers, which could interrupt one, run with upcalls masked
// and are refused by the assertion in every access.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    /// Not set yet.
    pub const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// Sets it, unless it is set.
    pub fn set(&self, value: T) {
        assert!(!events::upcalls_masked(), "event handlers have no part in this");
        let _ = self.0.set(value);
    }

    /// The value, if it is set.
    pub fn get(&self) -> Option<&T> {
        assert!(!events::upcalls_masked(), "event handlers have no part in this");
        self.0.get()
    }
}
