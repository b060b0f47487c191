//! Xenstore for the operator.

use alloc::string::String;

use dom0_core::render::xenstore_ls;
use dom0_core::xenstore;

use super::error::{Error, Result};
use super::xenstored;

const MISSING: &str = "no such node; `dom xenstore ls` shows what there is";

const INVALID: &str = "no path: it begins with /, has no // and no / at its end, and consists of letters, digits and - _ @";

/// Everything below a path, rendered.
pub fn ls(path: &str) -> Result<String> {
    xenstored::with(|server| xenstore_ls(server, path)).ok_or_else(|| Error::about(path, MISSING))
}

/// The value of a node.
pub fn read(path: &str) -> Result<String> {
    let value = xenstored::with(|server| server.read(path).map(|value| String::from_utf8_lossy(value).into_owned()));
    value.ok_or_else(|| Error::about(path, MISSING))
}

/// Sets a value; missing nodes are created.
pub fn write(path: &str, value: &str) -> Result {
    xenstored::with(|server| server.write(path, value.as_bytes())).map_err(|error| match error {
        xenstore::Error::Invalid => Error::about(path, INVALID),
        error => Error::about(path, error),
    })
}
