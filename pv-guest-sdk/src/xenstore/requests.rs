//! The requests, one function each.

use abi::Errno;
use abi::xenstore::msg;

use super::client::CLIENT;
use super::{Names, Transaction};
use crate::hypercall::Result;

/// Sends a request whose payload is the concatenation of `parts`; the reply's payload goes to `reply`, and its length is returned.
///
/// # Errors
/// -ENODEV if there is no xenstore; -E2BIG if the request or the reply is too long; -EIO if the daemon breaks the protocol; what the
/// daemon answers otherwise.
pub fn request(kind: u32, transaction: Transaction, parts: &[&[u8]], reply: &mut [u8]) -> Result<usize> {
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
pub fn directory<'a>(transaction: Transaction, path: &str, buffer: &'a mut [u8]) -> Result<Names<'a>> {
    let len = request(msg::DIRECTORY, transaction, &[path.as_bytes(), b"\0"], buffer)?;
    text(&buffer[..len]).map(Names)
}

/// Writes a node, creating it and its parents.
///
/// # Errors
/// As for [`request`].
pub fn write(transaction: Transaction, path: &str, value: &str) -> Result<()> {
    command(msg::WRITE, transaction, &[path.as_bytes(), b"\0", value.as_bytes()])
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
    let len = request(msg::TRANSACTION_START, Transaction::NONE, &[b"\0"], &mut buffer)?;
    text(&buffer[..len])?.trim_end_matches('\0').parse().map(Transaction).map_err(|_| Errno::IO)
}

/// Ends a transaction.
///
/// # Errors
/// -EAGAIN if it conflicts with another and must be done again.
pub fn end_transaction(transaction: Transaction, commit: bool) -> Result<()> {
    command(msg::TRANSACTION_END, transaction, &[if commit { b"T\0" } else { b"F\0" }])
}

pub(super) fn command(kind: u32, transaction: Transaction, parts: &[&[u8]]) -> Result<()> {
    let mut reply = [0; 16];
    request(kind, transaction, parts, &mut reply).map(|_| ())
}

pub(super) fn text(bytes: &[u8]) -> Result<&str> {
    // Some replies end with a NUL, some do not; a directory's names all do, and keep it.
    str::from_utf8(bytes).map_err(|_| Errno::ILSEQ)
}
