//! Requests: one at a time, matched to its reply by its number.

use core::ptr::NonNull;

use abi::Errno;
use abi::xenstore::{ERRORS, Header, PAYLOAD_MAX, msg};
use abi::zerocopy::IntoBytes;
use spin::Mutex;

use super::queue::Queue;
use super::wire::Wire;
use crate::hypercall::Result;
use crate::{BootInfo, events, memory};

struct Client {
    wire: Option<Wire>,
    last_id: u32,
    payload: [u8; PAYLOAD_MAX],
    watches: Queue,
}

static CLIENT: Mutex<Client> = Mutex::new(Client {
    wire: None,
    last_id: 0,
    payload: [0; PAYLOAD_MAX],
    watches: Queue::new(),
});

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
    CLIENT.lock().wire.is_some() || BootInfo::get().is_some_and(BootInfo::has_xenstore)
}

/// Uses another ring than the one in start info, as a first domain does once there is a daemon.
///
/// # Safety
/// `page` must be a mapped xenstore page for as long as the kernel runs.
///
/// # Errors
/// -EINVAL for a port out of range.
pub unsafe fn attach(page: NonNull<u8>, port: events::Port) -> Result<()> {
    let wire = Wire::new(page.as_ptr(), port)?;
    CLIENT.lock().wire = Some(wire);
    Ok(())
}

/// Sends a request whose payload is the concatenation of `parts`; the reply's payload goes to `reply`, and its length is returned.
///
/// # Errors
/// -ENODEV if there is no xenstore; -E2BIG if the request or the reply is too long; -EIO if the daemon breaks the protocol; what the
/// daemon answers otherwise.
pub fn request(
    kind: u32,
    transaction: Transaction,
    parts: &[&[u8]],
    reply: &mut [u8],
) -> Result<usize> {
    CLIENT.lock().request(kind, transaction, parts, reply)
}

/// The value of a node.
///
/// # Errors
/// -ENOENT if there is none; -EILSEQ if it is not UTF-8; otherwise as for [`request`].
pub fn read<'a>(transaction: Transaction, path: &str, buffer: &'a mut [u8]) -> Result<&'a str> {
    let len = request(msg::READ, transaction, &[path.as_bytes(), b"\0"], buffer)?;
    text(&buffer[..len])
}

/// The names of a node's children.
///
/// # Errors
/// As for [`read`].
pub fn directory<'a>(
    transaction: Transaction,
    path: &str,
    buffer: &'a mut [u8],
) -> Result<Names<'a>> {
    let len = request(
        msg::DIRECTORY,
        transaction,
        &[path.as_bytes(), b"\0"],
        buffer,
    )?;
    text(&buffer[..len]).map(Names)
}

/// Writes a node, creating it and its parents.
///
/// # Errors
/// As for [`request`].
pub fn write(transaction: Transaction, path: &str, value: &str) -> Result<()> {
    command(
        msg::WRITE,
        transaction,
        &[path.as_bytes(), b"\0", value.as_bytes()],
    )
}

/// Creates an empty node unless it exists.
///
/// # Errors
/// As for [`request`].
pub fn make(transaction: Transaction, path: &str) -> Result<()> {
    command(msg::MKDIR, transaction, &[path.as_bytes(), b"\0"])
}

/// Removes a node and what is below it.
///
/// # Errors
/// As for [`request`].
pub fn remove(transaction: Transaction, path: &str) -> Result<()> {
    command(msg::RM, transaction, &[path.as_bytes(), b"\0"])
}

/// Sets a node's permissions: strings such as `b0` (owner first) or `r3`.
///
/// # Errors
/// As for [`request`]; -E2BIG for more than eight.
pub fn set_permissions(transaction: Transaction, path: &str, permissions: &[&str]) -> Result<()> {
    let mut parts: [&[u8]; 18] = [b""; 18];
    if permissions.len() > 8 {
        return Err(Errno::TOOBIG);
    }
    parts[0] = path.as_bytes();
    parts[1] = b"\0";
    for (index, permission) in permissions.iter().enumerate() {
        parts[2 + 2 * index] = permission.as_bytes();
        parts[3 + 2 * index] = b"\0";
    }
    command(msg::SET_PERMS, transaction, &parts)
}

/// Starts a transaction.
///
/// # Errors
/// As for [`request`].
pub fn start_transaction() -> Result<Transaction> {
    let mut buffer = [0; 16];
    let len = request(
        msg::TRANSACTION_START,
        Transaction::NONE,
        &[b"\0"],
        &mut buffer,
    )?;
    text(&buffer[..len])?
        .trim_end_matches('\0')
        .parse()
        .map(Transaction)
        .map_err(|_| Errno::IO)
}

/// Ends a transaction.
///
/// # Errors
/// -EAGAIN if it conflicts with another and must be done again.
pub fn end_transaction(transaction: Transaction, commit: bool) -> Result<()> {
    command(
        msg::TRANSACTION_END,
        transaction,
        &[if commit { b"T\0" } else { b"F\0" }],
    )
}

/// Has an event queued whenever `path` or something below it changes; the first one comes at once.
///
/// # Errors
/// -EEXIST if there is the same watch already; otherwise as for [`request`].
pub fn watch(path: &str, token: &str) -> Result<()> {
    command(
        msg::WATCH,
        Transaction::NONE,
        &[path.as_bytes(), b"\0", token.as_bytes(), b"\0"],
    )
}

/// Removes a watch.
///
/// # Errors
/// -ENOENT if there is none.
pub fn unwatch(path: &str, token: &str) -> Result<()> {
    command(
        msg::UNWATCH,
        Transaction::NONE,
        &[path.as_bytes(), b"\0", token.as_bytes(), b"\0"],
    )
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

fn command(kind: u32, transaction: Transaction, parts: &[&[u8]]) -> Result<()> {
    let mut reply = [0; 16];
    request(kind, transaction, parts, &mut reply).map(|_| ())
}

fn text(bytes: &[u8]) -> Result<&str> {
    // Some replies end with a NUL, some do not; a directory's names all do, and keep it.
    str::from_utf8(bytes).map_err(|_| Errno::ILSEQ)
}

impl Client {
    fn wire(&mut self) -> Result<Wire> {
        if let Some(wire) = self.wire {
            return Ok(wire);
        }
        let info = BootInfo::get()
            .filter(|info| info.has_xenstore())
            .ok_or(Errno::NODEV)?
            .start_info();
        let pfn = memory::mfn_to_pfn(info.store_mfn).ok_or(Errno::NODEV)?;
        let wire = Wire::new(memory::pfn_to_virt(pfn), info.store_evtchn)?;
        self.wire = Some(wire);
        Ok(wire)
    }

    fn request(
        &mut self,
        kind: u32,
        transaction: Transaction,
        parts: &[&[u8]],
        reply: &mut [u8],
    ) -> Result<usize> {
        let wire = self.wire()?;
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > PAYLOAD_MAX {
            return Err(Errno::TOOBIG);
        }
        self.last_id = self.last_id.wrapping_add(1);
        let header = Header {
            kind,
            req_id: self.last_id,
            tx_id: transaction.0,
            len: len as u32,
        };
        wire.send(header.as_bytes())?;
        for part in parts {
            wire.send(part)?;
        }
        loop {
            let header = self.receive(wire)?;
            let payload = &self.payload[..header.len as usize];
            match header.kind {
                msg::WATCH_EVENT => self.watches.push(payload),
                _ if header.req_id != self.last_id => return Err(Errno::IO),
                msg::ERROR => return Err(error(payload)),
                reply_kind if reply_kind == kind => {
                    reply
                        .get_mut(..payload.len())
                        .ok_or(Errno::TOOBIG)?
                        .copy_from_slice(payload);
                    return Ok(payload.len());
                }
                _ => return Err(Errno::IO),
            }
        }
    }

    /// Receives a message; its payload is in `self.payload`.
    fn receive(&mut self, wire: Wire) -> Result<Header> {
        let mut header = Header::default();
        wire.receive(header.as_mut_bytes())?;
        let payload = self
            .payload
            .get_mut(..header.len as usize)
            .ok_or(Errno::IO)?;
        wire.receive(payload)?;
        Ok(header)
    }

    /// Moves watch events that have come to their queue. No request is open, so nothing else may come.
    fn drain(&mut self) -> Result<()> {
        let wire = self.wire()?;
        while wire.has_data() {
            let header = self.receive(wire)?;
            if header.kind != msg::WATCH_EVENT {
                return Err(Errno::IO);
            }
            self.watches.push(&self.payload[..header.len as usize]);
        }
        Ok(())
    }
}

/// The error that a daemon's answer names.
fn error(payload: &[u8]) -> Errno {
    let name = payload.split(|&byte| byte == 0).next().unwrap_or_default();
    ERRORS
        .iter()
        .find(|(text, _)| text.as_bytes() == name)
        .map_or(Errno::IO, |&(_, errno)| errno)
}
