//! Dom0's file tree: the archive that it was booted with, read in place.
//!
//! Kernels of 66 MB lie in it, in a domain of 64 MiB; so files are borrowed from the archive and nothing is copied but the names.
//! An archive may be damaged or hostile: then [`Tree::parse`] says where.

mod newc;
mod tree;

pub use newc::ArchiveError;
pub use tree::{Entry, Kind, PathError, Tree, normalise};
