//! Statics for what tasks share among themselves, such as [`alloc::rc::Rc`]s. Dom0 has one vCPU and tasks are cooperative, so nothing but an
//! event handler could interfere, and handlers are kept out.

use core::cell::RefCell;

use pv_guest_sdk::events;

/// A value for tasks alone.
pub struct TaskCell<T>(RefCell<T>);

// SAFETY: there is one vCPU. Whoever gets at the value is a task (or the start): handlers run with upcalls masked, and `with` refuses that.
// Tasks interrupt each other only where they wait, which no closure given to `with` can.
unsafe impl<T> Sync for TaskCell<T> {}

impl<T> TaskCell<T> {
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
