//! Why a request about a domain failed: one text that says what was wrong and what to do about it.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use abi::Errno;

/// A message for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// A message.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A message about a file or a domain, which it names first.
    pub fn about(what: &str, why: impl fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }

    /// What the hypervisor refused, for cases that should not occur.
    pub fn refused(what: &str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self(format!("the hypervisor refuses to {what}: {errno}; `dom dmesg` may say more"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Error {}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

/// The result of a request.
pub type Result<T = ()> = core::result::Result<T, Error>;
