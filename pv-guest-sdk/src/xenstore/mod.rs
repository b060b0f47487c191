//! The xenstore client: requests and replies over the ring page, and watch events that come in between.
//!
//! It needs no heap: replies go to the caller's buffer, watch events wait in a queue of fixed size. It must not be used from event
//! handlers, since a reply may have to be waited for.

mod client;
mod queue;
mod requests;
mod signal;
mod watches;
mod wire;

use core::ptr::NonNull;

use crate::hypercall::Result;
use crate::{BootInfo, events};

pub use requests::{directory, end_transaction, make, read, remove, request, set_permissions, start_transaction, write};
pub use signal::{Hook, Signal, activity, on_activity};
pub use watches::{next_watch_event, unwatch, wait_watch_event, watch, watch_events_lost};

/// A transaction, or [`Transaction::NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction(u32);

impl Transaction {
    /// No transaction: each request stands for itself.
    pub const NONE: Transaction = Transaction(0);
}

/// A watch that fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchEvent<'a> {
    /// What changed.
    pub path: &'a str,
    /// As given to [`watch`].
    pub token: &'a str,
}

/// The names in a directory.
#[derive(Clone, Debug)]
pub struct Names<'a>(&'a str);

impl<'a> Iterator for Names<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let (name, rest) = self.0.split_once('\0')?;
        self.0 = rest;
        Some(name)
    }
}

/// Whether this domain has a xenstore.
pub fn available() -> bool {
    client::CLIENT.lock().wire.is_some() || BootInfo::get().is_some_and(BootInfo::has_xenstore)
}

/// Uses another ring than the one in start info, as a first domain does once there is a daemon.
///
/// # Safety
/// `page` must be a mapped xenstore page for as long as the kernel runs.
///
/// # Errors
/// -EINVAL for a port out of range.
pub unsafe fn attach(page: NonNull<u8>, port: events::Port) -> Result<()> {
    let wire = wire::Wire::new(page.as_ptr(), port)?;
    client::CLIENT.lock().wire = Some(wire);
    Ok(())
}
