//! Watches as flags, for whoever only wants to know that something has changed and then reads it anew.
//!
//! An event of such a watch is not queued: it sets a bit. So none is lost however many come, whoever waits for events of the queue neither sees
//! nor drops it, and a task can wait for it.

use core::future::poll_fn;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::task::{Poll, Waker};

use abi::Errno;

use super::client::CLIENT;
use super::{unwatch, watch};
use crate::events::Port;
use crate::hypercall::Result;
use crate::sync::IrqMutex;

/// Signals at most: one for each device is what they are for.
const SIGNALS: usize = 64;
/// Hooks at most: one for each kind of device.
const HOOKS: usize = 4;
/// How the tokens of these watches begin. The rest is the signal's number.
const TOKEN: &str = "pv-guest-sdk/";

/// What runs at an event of xenstore's port, as an event handler.
pub type Hook = fn();

static USED: AtomicU64 = AtomicU64::new(0);
static FIRED: AtomicU64 = AtomicU64::new(0);
static ACTIVITY: AtomicU32 = AtomicU32::new(0);
static WAKERS: IrqMutex<[Option<Waker>; SIGNALS]> = IrqMutex::new([const { None }; SIGNALS]);
static ON_ACTIVITY: IrqMutex<[Option<Hook>; HOOKS]> = IrqMutex::new([None; HOOKS]);

/// A flag that any of its watches sets.
#[derive(Debug)]
pub struct Signal(u32);

impl Signal {
    /// A flag without watches.
    ///
    /// # Errors
    /// -ENOSPC if there are 64 already.
    pub fn new() -> Result<Signal> {
        let taken = USED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| (used != !0).then(|| used | (used + 1)));
        let number = taken.map_err(|_| Errno::NOSPC)?.trailing_ones();
        FIRED.fetch_and(!(1 << number), Ordering::SeqCst);
        Ok(Signal(number))
    }

    /// Has the flag set whenever `path` or something below it changes, and now.
    ///
    /// # Errors
    /// As for [`super::watch`].
    pub fn watch(&self, path: &str) -> Result<()> {
        watch(path, self.token(&mut [0; 32]))
    }

    /// Ends a watch. An event that is under way may still set the flag.
    ///
    /// # Errors
    /// As for [`super::unwatch`].
    pub fn unwatch(&self, path: &str) -> Result<()> {
        unwatch(path, self.token(&mut [0; 32]))
    }

    /// Whether the flag was set since it was last asked for.
    ///
    /// # Errors
    /// -EIO if the daemon breaks the protocol; -ENODEV if there is no xenstore.
    pub fn take(&self) -> Result<bool> {
        CLIENT.lock().drain()?;
        let bit = 1 << self.0;
        Ok(FIRED.fetch_and(!bit, Ordering::SeqCst) & bit != 0)
    }

    /// Waits for the flag and takes it. One task may wait for a signal.
    ///
    /// # Errors
    /// As for [`Self::take`].
    pub async fn changed(&self) -> Result<()> {
        poll_fn(|context| {
            // Registered first: what comes between the question and the wait is not lost.
            let stale = WAKERS.lock()[self.0 as usize].replace(context.waker().clone());
            drop(stale);
            match self.take() {
                Ok(false) => Poll::Pending,
                Ok(true) => Poll::Ready(Ok(())),
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    fn token<'a>(&self, buffer: &'a mut [u8]) -> &'a str {
        crate::console::format(buffer, format_args!("{TOKEN}{}", self.0))
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        let waker = WAKERS.lock()[self.0 as usize].take();
        drop(waker);
        USED.fetch_and(!(1 << self.0), Ordering::SeqCst);
    }
}

/// Counts the events of xenstore's port: while it stays the same, nothing new has come.
pub fn activity() -> u32 {
    ACTIVITY.load(Ordering::Acquire)
}

/// Has `hook` run at every event of xenstore's port, as an event handler; the same hook once, however often it is given.
///
/// # Errors
/// -ENOSPC if there are four already.
pub fn on_activity(hook: Hook) -> Result<()> {
    let mut hooks = ON_ACTIVITY.lock();
    if hooks.iter().flatten().any(|known| core::ptr::fn_addr_eq(*known, hook)) {
        return Ok(());
    }
    *hooks.iter_mut().find(|place| place.is_none()).ok_or(Errno::NOSPC)? = Some(hook);
    Ok(())
}

/// The handler of xenstore's port.
pub(super) fn rang(_: Port) {
    ACTIVITY.fetch_add(1, Ordering::AcqRel);
    let hooks = *ON_ACTIVITY.lock();
    hooks.iter().flatten().for_each(|hook| hook());
    for index in 0..SIGNALS {
        // Taken out first: a waker is foreign code, and no lock is held for it.
        let waker = WAKERS.lock()[index].take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Sets the flag that an event is for; `false` if it is no signal's.
pub(super) fn deliver(event: &[u8]) -> bool {
    let Some(number) = number(event) else { return false };
    FIRED.fetch_or(1 << number, Ordering::SeqCst);
    let waker = WAKERS.lock()[number as usize].take();
    if let Some(waker) = waker {
        waker.wake();
    }
    true
}

/// The number in an event's token.
fn number(event: &[u8]) -> Option<u32> {
    let token = event.split(|&byte| byte == 0).nth(1)?.strip_prefix(TOKEN.as_bytes())?;
    let number = str::from_utf8(token).ok()?.parse().ok()?;
    (number < SIGNALS as u32).then_some(number)
}
