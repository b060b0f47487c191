//! Why a volume or a file cannot be used, in one sentence for the operator: what is wrong, and what to do.

use alloc::string::String;
use core::fmt;

use crate::block::DiskError;
use crate::fs::PathError;

/// The reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeError {
    /// The magic is missing.
    NotExt4,
    /// It uses a feature that is not offered; its name, as `dumpe2fs` has it.
    Feature(String),
    /// It contradicts itself; the text says where.
    Damaged(&'static str),
    /// A path leads nowhere, or to something else.
    Path(PathError),
    /// A link that leads out of the volume, or in a circle: its path and where it points.
    Link(String, String),
    /// A file that is stored in a way that is not offered: its path and how.
    Stored(String, &'static str),
    /// A file with blocks that were never written; its path.
    NotWritten(String),
    /// What holds the volume failed.
    Disk(DiskError),
}

impl From<DiskError> for VolumeError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl From<PathError> for VolumeError {
    fn from(error: PathError) -> Self {
        Self::Path(error)
    }
}

impl fmt::Display for VolumeError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotExt4 => to.write_str("there is no ext4 file system on it; `lsblk` shows what is where"),
            Self::Feature(name) => {
                write!(to, "the file system uses `{name}`, which is not offered: make one without it, by mke2fs -t ext4 -O ^{name}")
            }
            Self::Damaged(what) => write!(to, "the file system is damaged: {what}; repair it with e2fsck in a guest"),
            Self::Path(error) => error.fmt(to),
            Self::Link(path, target) => {
                write!(to, "{path} is a link to {target}, which leads out of the volume or in a circle: name the file itself")
            }
            Self::Stored(path, how) => write!(to, "{path} is stored {how}, which is not offered: copy it to a new file"),
            Self::NotWritten(path) => write!(
                to,
                "{path} has blocks that were never written, and Dom0 allocates none: write the whole file once in a guest, as by \
                 dd if=/dev/zero of=FILE bs=1M count=SIZE (fallocate and truncate do not write), or use it read-only"
            ),
            Self::Disk(error) => write!(to, "the disk below the file system: {error}"),
        }
    }
}

impl core::error::Error for VolumeError {}
