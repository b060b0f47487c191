//! `dom disk` after parsing.

use alloc::string::String;

use crate::config::Format;

/// A subcommand of `dom disk`. Targets are as they were typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskCommand {
    /// Make an image.
    Create {
        /// What shows where nothing was written, and its format.
        backing: Option<(String, Format)>,
        /// What holds the image.
        target: String,
        /// Size of the guest's disk in bytes; that of the backing if none.
        bytes: Option<u64>,
        /// What it holds may be lost.
        force: bool,
    },
    /// Describe an image.
    Info {
        /// As JSON.
        json: bool,
        /// What holds it.
        target: String,
    },
    /// Let an image grow.
    Resize {
        /// What holds it.
        target: String,
        /// How large.
        size: NewSize,
    },
    /// Work with an image's snapshots.
    Snapshot {
        /// What to do.
        action: SnapshotAction,
        /// What holds it.
        target: String,
    },
}

/// A size to grow to, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewSize {
    /// This.
    To(u64),
    /// So much more.
    By(u64),
}

/// What to do with snapshots; the name is the snapshot's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotAction {
    /// List them.
    List,
    /// Take one.
    Create(String),
    /// Go back to one.
    Apply(String),
    /// Delete one.
    Delete(String),
}
