//! Why something about disks was not done: one message, made where the reason is known.

use alloc::string::{String, ToString};
use core::fmt;

/// What is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError(String);

impl StorageError {
    /// A message that says everything.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// A message about something that has a name.
    pub fn about(name: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self(alloc::format!("{name}: {message}"))
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl core::error::Error for StorageError {}

impl From<StorageError> for String {
    fn from(error: StorageError) -> Self {
        error.to_string()
    }
}
