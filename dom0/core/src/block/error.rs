//! Why a disk did not do what it was asked.

use core::fmt;

/// The reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The device reports an error, or what holds the data does.
    Io,
    /// Beyond the end.
    OutOfRange,
    /// Not a multiple of the logical block.
    Misaligned,
    /// A write to what is read-only.
    ReadOnly,
    /// No memory for metadata or copies.
    NoMemory,
    /// No room left in what holds the data (the file or disk below an image).
    NoSpace,
    /// What is stored contradicts itself; the text says what.
    Corrupt(&'static str),
    /// The disk does not offer this.
    Unsupported,
    /// The disk is gone.
    Gone,
}

impl fmt::Display for DiskError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Io => "input/output error",
            Self::OutOfRange => "beyond the end of the disk",
            Self::Misaligned => "not aligned to the disk's blocks",
            Self::ReadOnly => "the disk is read-only",
            Self::NoMemory => "no memory is left for the disk's metadata",
            Self::NoSpace => "no space is left below the image",
            Self::Corrupt(what) => return write!(to, "damaged: {what}"),
            Self::Unsupported => "the disk does not offer this",
            Self::Gone => "the disk is gone",
        })
    }
}
