//! Inodes: what a file is, how long, and where the list of its blocks begins.

use super::le::{half, long, word};
use super::{Result, Volume, VolumeError};

/// The folder that everything lies in.
pub(super) const ROOT: u32 = 2;
/// Bytes of an inode that are looked at; it may be longer.
const BYTES: usize = 128;

/// Bits of `i_flags`.
const ENCRYPTED: u32 = 0x800;
const VERITY: u32 = 0x10_0000;
const EXTENTS: u32 = 0x8_0000;
const INLINE: u32 = 0x1000_0000;

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A file with bytes.
    Regular,
    /// A symbolic link.
    Link,
    /// A device, pipe or socket.
    Other,
}

/// An inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub number: u32,
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub bytes: u64,
    pub(super) flags: u32,
    /// The root of the tree of extents, or the target of a short link.
    pub(super) root: [u8; 60],
}

impl Inode {
    /// How it is stored, if that is not offered.
    pub(super) fn odd(&self) -> Option<&'static str> {
        if self.flags & ENCRYPTED != 0 {
            Some("encrypted")
        } else if self.flags & INLINE != 0 {
            Some("within its inode (inline_data)")
        } else if self.flags & EXTENTS == 0 {
            Some("by lists of blocks, as ext2 and ext3 do")
        } else {
            None
        }
    }

    /// Whether its contents are vouched for, so that it can only be read.
    pub(super) fn is_sealed(&self) -> bool {
        self.flags & VERITY != 0
    }

    /// Whether it is a link whose target stands in the inode.
    pub(super) fn is_short_link(&self) -> bool {
        self.kind == Kind::Link && self.flags & (EXTENTS | INLINE | ENCRYPTED) == 0 && self.bytes < self.root.len() as u64
    }
}

impl Volume {
    /// Where group `group` has its table of inodes: its first block.
    async fn inode_table(&self, group: u64) -> Result<u64> {
        let superblock = &self.superblock;
        let at = (superblock.first_block + 1) * superblock.block + group * superblock.descriptor_bytes;
        let descriptor = self.read(at, superblock.descriptor_bytes as usize).await?;
        Ok(if superblock.descriptor_bytes >= 64 { long(&descriptor, 0x8, 0x28) } else { word(&descriptor, 0x8).into() })
    }

    pub(super) async fn inode(&self, number: u32) -> Result<Inode> {
        let superblock = &self.superblock;
        if number == 0 || number > superblock.inodes {
            return Err(VolumeError::Damaged("it refers to an inode that it does not have"));
        }
        let (group, index) = ((number - 1) / superblock.inodes_per_group, (number - 1) % superblock.inodes_per_group);
        let table = self.inode_table(group.into()).await?;
        let at = u64::from(index) * superblock.inode_bytes;
        let (block, within) = (table.saturating_add(at / superblock.block), at % superblock.block);
        if table == 0 || block >= superblock.blocks {
            return Err(VolumeError::Damaged("a table of inodes does not lie in it"));
        }
        let bytes = self.read(block * superblock.block + within, BYTES).await?;
        let kind = match half(&bytes, 0) >> 12 {
            0x4 => Kind::Directory,
            0x8 => Kind::Regular,
            0xa => Kind::Link,
            _ => Kind::Other,
        };
        let length = if kind == Kind::Regular { long(&bytes, 0x4, 0x6c) } else { word(&bytes, 0x4).into() };
        // Blocks of a file are counted in 32 bits.
        if length > superblock.block << 32 {
            return Err(VolumeError::Damaged("a file is longer than any can be"));
        }
        let root = bytes.get(0x28..).and_then(|rest| rest.first_chunk()).ok_or(VolumeError::Damaged("an inode is cut short"))?;
        Ok(Inode { number, kind, bytes: length, flags: word(&bytes, 0x20), root: *root })
    }
}
