//! What can go wrong, as types: what the caller asked wrongly, what the disk could not do, what the back end did that it must not.

use core::fmt;

use abi::Errno;

use super::Buffer;
use super::machine::Machine;

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no such disk.
    NoDevice,
    /// Sectors beyond the end of the disk, or none at all.
    Range,
    /// The first sector, or how many, is no multiple of the disk's logical block.
    Misaligned,
    /// The disk may not be written.
    ReadOnly,
    /// The back end does not offer the operation.
    NotSupported,
    /// The back end answered with an error.
    Io,
    /// No memory or no grant could be had.
    Memory,
    /// The back end has stopped, or the disk was taken away.
    Stopped,
    /// The back end broke the protocol; the disk is not used any more.
    Breach(Breach),
    /// What xenstore or the hypervisor answered.
    System(Errno),
}

/// What a back end did that no back end may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It claims more responses than there are requests.
    Index,
    /// A response to a request that is not open.
    Id,
    /// A response to another operation than the one that was asked for.
    Operation,
    /// It keeps a page mapped that it was lent for a request that it has answered.
    StillMapped,
    /// What it says of the disk makes no sense.
    Description,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Error::NoDevice => "no such disk",
            Error::Range => "not on the disk",
            Error::Misaligned => "not a multiple of the disk's block",
            Error::ReadOnly => "the disk is read-only",
            Error::NotSupported => "the back end does not offer this",
            Error::Io => "input/output error",
            Error::Memory => "out of memory or grants",
            Error::Stopped => "the disk has gone",
            Error::Breach(breach) => return write!(f, "the back end broke the protocol: {breach}"),
            Error::System(errno) => return write!(f, "{errno}"),
        };
        f.write_str(text)
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Breach::Index => "more responses than requests",
            Breach::Id => "a response to no request",
            Breach::Operation => "a response to another operation",
            Breach::StillMapped => "a page stays mapped",
            Breach::Description => "impossible properties of the disk",
        })
    }
}

impl core::error::Error for Error {}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        match errno {
            Errno::NODEV => Error::NoDevice,
            Errno::NOMEM | Errno::NOSPC => Error::Memory,
            other => Error::System(other),
        }
    }
}

/// Why an operation on a [`Buffer`] failed, and the buffer, unless the back end holds on to it.
pub struct BufferError<M: Machine> {
    /// Why.
    pub error: Error,
    /// What was lent, if it came back.
    pub buffer: Option<Buffer<M>>,
}

impl<M: Machine> fmt::Debug for BufferError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferError").field("error", &self.error).field("buffer", &self.buffer.is_some()).finish()
    }
}
