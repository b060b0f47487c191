//! Statics for what tasks share among themselves, such as [`alloc::rc::Rc`]s. Dom0 has one vCPU and tasks are cooperative, so nothing but an
//! event handler could interfere, and handlers are kept out.

use core::cell::{OnceCell, RefCell};

use pv_guest_sdk::events;

/// A value for tasks alone.
pub struct Local<T>(RefCell<T>);

// SAFETY: there is one vCPU. Whoever gets at the value is a task (or the start): handlers run with upcalls masked, and `with` refuses that.
// Tasks interrupt each other only where they wait, which no closure given to `with` can.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    /// A value.
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Looks at the value, or changes it.
    ///
    /// # Panics
    /// In an event handler, under an `IrqMutex`, and when it is nested.
    pub fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        assert!(!events::upcalls_masked(), "for tasks, with upcalls unmasked");
        act(&mut self.0.borrow_mut())
    }
}

/// A value that is set once, at boot, and used by tasks only.
pub struct Once<T>(OnceCell<T>);

// SAFETY: there is one vCPU, tasks are not preempted by each other, and event handlers, which could interrupt one, run with upcalls masked
// and are refused by the assertion in every access.
unsafe impl<T> Sync for Once<T> {}

impl<T> Once<T> {
    /// Not set yet.
    pub const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// Sets it, unless it is set.
    pub fn set(&self, value: T) {
        assert!(!events::upcalls_masked(), "for tasks, with upcalls unmasked");
        let _ = self.0.set(value);
    }

    /// The value, if it is set.
    pub fn get(&self) -> Option<&T> {
        assert!(!events::upcalls_masked(), "for tasks, with upcalls unmasked");
        self.0.get()
    }
}
