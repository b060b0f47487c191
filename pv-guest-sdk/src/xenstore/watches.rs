//! Watches and their events.

use abi::Errno;
use abi::xenstore::msg;

use super::client::CLIENT;
use super::requests::{command, text};
use super::{Transaction, WatchEvent};
use crate::events;
use crate::hypercall::Result;

/// Has an event queued whenever `path` or something below it changes; the first one comes at once.
///
/// # Errors
/// -EEXIST if there is the same watch already; otherwise as for [`super::request`].
pub fn watch(path: &str, token: &str) -> Result<()> {
    command(msg::WATCH, Transaction::NONE, &[path.as_bytes(), b"\0", token.as_bytes(), b"\0"])
}

/// Removes a watch.
///
/// # Errors
/// -ENOENT if there is none.
pub fn unwatch(path: &str, token: &str) -> Result<()> {
    command(msg::UNWATCH, Transaction::NONE, &[path.as_bytes(), b"\0", token.as_bytes(), b"\0"])
}

/// The oldest watch event, if one has come.
///
/// # Errors
/// -EIO if the daemon breaks the protocol; -EILSEQ if the buffer is too small for the event.
pub fn next_watch_event(buffer: &mut [u8]) -> Result<Option<WatchEvent<'_>>> {
    let len = {
        let mut client = CLIENT.lock();
        client.drain()?;
        client.watches.pop(buffer)
    };
    let Some(len) = len else { return Ok(None) };
    let mut fields = text(&buffer[..len])?.split_terminator('\0');
    match (fields.next(), fields.next()) {
        (Some(path), Some(token)) => Ok(Some(WatchEvent { path, token })),
        _ => Err(Errno::ILSEQ),
    }
}

/// Blocks until there is a watch event.
///
/// # Errors
/// As for [`next_watch_event`], and -ENODEV if there is no xenstore.
pub fn wait_watch_event(buffer: &mut [u8]) -> Result<WatchEvent<'_>> {
    let wire = CLIENT.lock().wire()?;
    loop {
        events::wait_until(|| wire.has_data() || !CLIENT.lock().watches.is_empty());
        CLIENT.lock().drain()?;
        if !CLIENT.lock().watches.is_empty() {
            break;
        }
    }
    next_watch_event(buffer)?.ok_or(Errno::IO)
}

/// How many watch events were dropped because their queue was full.
pub fn watch_events_lost() -> u64 {
    CLIENT.lock().watches.lost()
}
