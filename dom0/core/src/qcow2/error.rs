//! Why an image cannot be opened or changed, in one sentence for the operator: what is wrong, and what to do.

use alloc::string::String;
use core::fmt;

use crate::block::DiskError;

/// The reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// The magic is missing.
    NotQcow2,
    /// A version other than 2 and 3.
    Version(u32),
    /// The image needs a feature that is not there; its name.
    Feature(String),
    /// It contradicts itself; the text says where.
    Damaged(&'static str),
    /// It is marked corrupt and may only be read.
    MarkedCorrupt,
    /// It was not closed as it should be, and its reference counts cannot be made right here.
    NeedsRepair(&'static str),
    /// It has a backing file of this name, and none was given.
    NoBacking(String),
    /// The image is larger than what holds it; both in bytes.
    TooSmall {
        /// How much there is below.
        there: u64,
        /// How much is needed.
        needed: u64,
    },
    /// The size or the cluster size is out of range; the text says which is allowed.
    Size(&'static str),
    /// Shrinking is not offered; in bytes.
    Shrink {
        /// What the image has.
        from: u64,
        /// What was asked for.
        to: u64,
    },
    /// There is no snapshot of this name.
    NoSnapshot(String),
    /// There is a snapshot of this name already.
    SnapshotExists(String),
    /// A name is empty or too long, or there are too many snapshots.
    SnapshotName(&'static str),
    /// What the operation needs, this version or this image does not have; the text says what.
    CannotHere(&'static str),
    /// What lies below failed.
    Disk(DiskError),
}

impl From<DiskError> for ImageError {
    fn from(error: DiskError) -> Self {
        match error {
            DiskError::Corrupt(what) => Self::Damaged(what),
            other => Self::Disk(other),
        }
    }
}

impl From<ImageError> for DiskError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Disk(error) => error,
            ImageError::Damaged(what) | ImageError::NeedsRepair(what) => Self::Corrupt(what),
            ImageError::MarkedCorrupt => Self::Corrupt("the image is marked corrupt"),
            _ => Self::Unsupported,
        }
    }
}

impl core::error::Error for ImageError {}

impl fmt::Display for ImageError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotQcow2 => {
                to.write_str("this is no qcow2 image: the magic number is missing; use a raw format instead, or make an image first")
            }
            Self::Version(version) => {
                write!(to, "this is qcow2 version {version}; versions 2 and 3 are known: convert it with qemu-img convert")
            }
            Self::Feature(name) => {
                write!(to, "the image needs \"{name}\", which is not there: convert it with qemu-img convert, without that option")
            }
            Self::Damaged(what) => write!(to, "the image is damaged: {what}; examine a copy with qemu-img check"),
            Self::MarkedCorrupt => {
                to.write_str("the image is marked corrupt: repair a copy with qemu-img check -r all, or open it read-only")
            }
            Self::NeedsRepair(what) => {
                write!(to, "the image was not closed and cannot be repaired here ({what}): use qemu-img check -r all, or open it read-only")
            }
            Self::NoBacking(name) => {
                write!(to, "the image lies over the backing file \"{name}\", which was not found: put it there, or use qemu-img rebase")
            }
            Self::TooSmall { there, needed } => {
                write!(to, "there are {there} bytes for the image, which needs {needed}: give it a larger file or disk")
            }
            Self::Size(allowed) => to.write_str(allowed),
            Self::Shrink { from, to: wanted } => {
                write!(to, "the image has {from} bytes and cannot shrink to {wanted}: copy what is wanted to a new image")
            }
            Self::NoSnapshot(name) => write!(to, "there is no snapshot \"{name}\" in the image"),
            Self::SnapshotExists(name) => write!(to, "there is a snapshot \"{name}\" already: choose another name or delete it first"),
            Self::SnapshotName(what) | Self::CannotHere(what) => to.write_str(what),
            Self::Disk(error) => write!(to, "what holds the image: {error}"),
        }
    }
}
