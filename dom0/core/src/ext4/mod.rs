//! A reader of ext4: finds files, and makes a regular file a disk by way of its extents.
//!
//! Only metadata are read here, and none are ever written: a file that shall be written must have all of its blocks, written once, so that nothing but
//! data changes. That is why this module is small, and why no crate fits: those that read ext4 want to own the device, without async and with std.
//!
//! Whoever made the volume may be an enemy (a guest wrote it, say). All numbers are checked before use, every loop is bounded, and a file
//! that may be written is checked against the places of metadata. Checksums are not looked at: they say nothing about intent.

mod directory;
mod error;
mod extents;
mod file;
mod inode;
mod le;
mod path;
mod superblock;
mod zones;

use alloc::{format, string::String, vec::Vec};

use crate::block::{DiskError, SharedDisk, SharedMemory, read_bytes};

pub use directory::Entry;
pub use error::VolumeError;
pub use file::FileDisk;
pub use inode::{Inode, Kind};
pub use superblock::{Superblock, is_ext, label};

type Result<T> = core::result::Result<T, VolumeError>;

/// An ext4 file system on a disk.
pub struct Volume {
    below: SharedDisk,
    memory: SharedMemory,
    superblock: Superblock,
    folder: String,
}

impl Volume {
    /// Reads and checks what describes the file system. `folder` is where it shall be seen, for messages.
    ///
    /// # Errors
    /// When it is no ext4, needs what is not offered, or contradicts itself.
    pub async fn open(below: SharedDisk, memory: SharedMemory, folder: &str) -> Result<Self> {
        let superblock = Superblock::read(&*below, &*memory).await?;
        let folder = String::from(folder.trim_end_matches('/'));
        Ok(Self { below, memory, superblock, folder })
    }

    /// What it says about itself.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// A path of the volume, as the operator sees it.
    fn shown(&self, path: &str) -> String {
        format!("{}/{}", self.folder, path.trim_start_matches('/'))
    }

    async fn read(&self, at: u64, bytes: usize) -> core::result::Result<Vec<u8>, DiskError> {
        read_bytes(&*self.below, &*self.memory, at, bytes).await
    }

    /// A block of the volume.
    async fn block(&self, number: u64) -> Result<Vec<u8>> {
        if number == 0 || number >= self.superblock.blocks {
            return Err(VolumeError::Damaged("it refers to a block that it does not have"));
        }
        // Cannot overflow: that all blocks lie on the disk has been checked.
        Ok(self.read(number * self.superblock.block, self.superblock.block as usize).await?)
    }
}
