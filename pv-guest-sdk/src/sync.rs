//! A mutex for data that event handlers touch too, and the masking of upcalls it rests on.

use core::ops::{Deref, DerefMut};

use crate::events;

/// Runs `f` with upcalls masked; nests.
pub fn without_events<R>(f: impl FnOnce() -> R) -> R {
    let _guard = EventGuard::new();
    f()
}

/// Keeps upcalls masked while it lives, and then restores what was.
pub struct EventGuard {
    was_masked: bool,
}

impl EventGuard {
    /// Masks upcalls.
    pub fn new() -> EventGuard {
        EventGuard { was_masked: events::mask_upcalls() }
    }
}

impl Default for EventGuard {
    fn default() -> Self {
        EventGuard::new()
    }
}

impl Drop for EventGuard {
    fn drop(&mut self) {
        if !self.was_masked {
            events::unmask_upcalls();
        }
    }
}

/// A mutex that masks upcalls while it is held, so that a handler never waits for the code it interrupted.
///
/// With one vCPU it is never contended; locking it twice from the same flow of control is a bug and hangs.
pub struct IrqMutex<T>(spin::Mutex<T>);

impl<T> IrqMutex<T> {
    /// A new mutex.
    pub const fn new(value: T) -> IrqMutex<T> {
        IrqMutex(spin::Mutex::new(value))
    }

    /// Locks.
    pub fn lock(&self) -> IrqMutexGuard<'_, T> {
        let events = EventGuard::new();
        IrqMutexGuard { value: self.0.lock(), _events: events }
    }

    /// Locks unless somebody holds it, as a panic handler must.
    pub fn try_lock(&self) -> Option<IrqMutexGuard<'_, T>> {
        let events = EventGuard::new();
        self.0.try_lock().map(|value| IrqMutexGuard { value, _events: events })
    }
}

/// Access to the data of an [`IrqMutex`].
pub struct IrqMutexGuard<'a, T> {
    // Dropped first: the lock is released before upcalls are delivered again.
    value: spin::MutexGuard<'a, T>,
    _events: EventGuard,
}

impl<T> Deref for IrqMutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for IrqMutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
