//! Spin locks with levels. A CPU takes locks in rising order of level only, so no two CPUs can wait for each other; breaking the
//! order is a bug of ours and panics in debug builds. Interrupts are off wherever a lock is held (design, decision 5).

use core::ops::{Deref, DerefMut};
#[cfg(debug_assertions)]
use core::sync::atomic::{AtomicU8, Ordering};

use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::tlb::Relax;

/// The hypervisor's state.
pub const STATE: u8 = 1;
/// The log: may be written while the state is held.
pub const LOG: u8 = 2;

/// The levels that each CPU holds, a bit each.
#[cfg(debug_assertions)]
static HELD: [AtomicU8; hv_core::ids::MAX_CPUS] = [const { AtomicU8::new(0) }; hv_core::ids::MAX_CPUS];

/// A value behind a spin lock of level `LEVEL`. Every spin goes through [`Relax`], which serves this CPU's flush mailbox.
pub struct Lock<const LEVEL: u8, T>(SpinMutex<T, Relax>);

/// Access to a locked value, until dropped.
pub struct Guard<'a, const LEVEL: u8, T> {
    inner: SpinMutexGuard<'a, T>,
}

impl<const LEVEL: u8, T> Lock<LEVEL, T> {
    /// An open lock.
    pub const fn new(value: T) -> Self {
        Lock(SpinMutex::new(value))
    }

    /// Takes the lock.
    #[inline(always)]
    pub fn lock(&self) -> Guard<'_, LEVEL, T> {
        #[cfg(debug_assertions)]
        {
            let held = HELD[crate::percpu::id()].fetch_or(1 << LEVEL, Ordering::Relaxed);
            assert!(held >> LEVEL == 0, "a lock of level {LEVEL} taken while levels {held:#b} are held");
        }
        Guard { inner: self.0.lock() }
    }

    /// Takes the lock unless it is held: for the panic path, which must not wait for itself.
    pub fn try_lock(&self) -> Option<Guard<'_, LEVEL, T>> {
        let inner = self.0.try_lock()?;
        #[cfg(debug_assertions)]
        HELD[crate::percpu::id()].fetch_or(1 << LEVEL, Ordering::Relaxed);
        Some(Guard { inner })
    }
}

impl<const LEVEL: u8, T> Deref for Guard<'_, LEVEL, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<const LEVEL: u8, T> DerefMut for Guard<'_, LEVEL, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[cfg(debug_assertions)]
impl<const LEVEL: u8, T> Drop for Guard<'_, LEVEL, T> {
    fn drop(&mut self) {
        HELD[crate::percpu::id()].fetch_and(!(1 << LEVEL), Ordering::Relaxed);
    }
}
