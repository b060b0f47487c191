//! What describes a file system: sizes, features, state.

use alloc::{
    format,
    string::{String, ToString},
};

use super::le::{half, long, word};
use super::{Result, VolumeError};
use crate::block::{Disk, Memory, SECTOR, read_bytes};

/// Where it lies on the disk, and how long it is, in bytes.
const AT: u64 = 1024;
const BYTES: usize = 1024;
const MAGIC: u16 = 0xef53;
/// The magic's place in the superblock.
const MAGIC_AT: usize = 0x38;
/// The name's.
const LABEL: core::ops::Range<usize> = 0x78..0x88;

/// Bits of `s_feature_incompat` that this reader knows how to read.
const FILETYPE: u32 = 0x2;
const RECOVER: u32 = 0x4;
const EXTENTS: u32 = 0x40;
const BIT64: u32 = 0x80;
const FLEX_BG: u32 = 0x200;
const EA_INODE: u32 = 0x400;
const CSUM_SEED: u32 = 0x2000;
const LARGEDIR: u32 = 0x4000;
const OFFERED: u32 = FILETYPE | RECOVER | EXTENTS | BIT64 | FLEX_BG | EA_INODE | CSUM_SEED | LARGEDIR;
/// Names of the others, as `mke2fs -O` has them.
const REFUSED: [(u32, &str); 8] = [
    (0x1, "compression"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x100, "mmp"),
    (0x1000, "dirdata"),
    (0x8000, "inline_data"),
    (0x10000, "encrypt"),
    (0x20000, "casefold"),
];
/// A bit of `s_feature_ro_compat`: deletions are pending.
const ORPHANS: u32 = 0x10000;

/// The description, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// Bytes of a block.
    pub block: u64,
    /// How many blocks there are; all of them lie on the disk.
    pub blocks: u64,
    /// The name that was given to it; may be empty.
    pub label: String,
    /// Why nothing on it should be written; none if it was left in order.
    pub unclean: Option<&'static str>,
    pub(super) inodes: u32,
    pub(super) inodes_per_group: u32,
    pub(super) inode_bytes: u64,
    pub(super) groups: u64,
    pub(super) descriptor_bytes: u64,
    /// The block that holds this; the descriptors of the groups follow it.
    pub(super) first_block: u64,
}

/// Whether a disk that begins with these bytes (2 KiB of them) holds ext2, ext3 or ext4.
pub fn is_ext(start: &[u8]) -> bool {
    half(start, AT as usize + MAGIC_AT) == MAGIC
}

/// The name in the description that [`is_ext`] has found in these bytes; may be empty.
pub fn label(start: &[u8]) -> String {
    printable(start.get(AT as usize..).and_then(|bytes| bytes.get(LABEL)).unwrap_or_default())
}

impl Superblock {
    pub(super) async fn read(disk: &dyn Disk, memory: &dyn Memory) -> Result<Self> {
        if disk.info().bytes < AT + BYTES as u64 {
            return Err(VolumeError::NotExt4);
        }
        let bytes = read_bytes(disk, memory, AT, BYTES).await?;
        Self::parse(&bytes, disk.info().bytes, u64::from(disk.info().logical_block).max(SECTOR))
    }

    fn parse(bytes: &[u8], disk_bytes: u64, sector: u64) -> Result<Self> {
        if half(bytes, MAGIC_AT) != MAGIC {
            return Err(VolumeError::NotExt4);
        }
        let incompatible = word(bytes, 0x60);
        check_features(incompatible)?;
        let log = word(bytes, 0x18);
        if log > 6 {
            return Err(VolumeError::Damaged("its block size is impossible"));
        }
        let wide = incompatible & BIT64 != 0;
        let superblock = Self {
            block: 1024 << log,
            blocks: long(bytes, 0x4, 0x150) & if wide { u64::MAX } else { u32::MAX.into() },
            label: printable(bytes.get(LABEL).unwrap_or_default()),
            unclean: unclean(bytes, incompatible),
            inodes: word(bytes, 0),
            inodes_per_group: word(bytes, 0x28),
            inode_bytes: if word(bytes, 0x4c) == 0 { 128 } else { half(bytes, 0x58).into() },
            groups: 0,
            descriptor_bytes: if wide { half(bytes, 0xfe).into() } else { 32 },
            first_block: word(bytes, 0x14).into(),
        };
        superblock.check(u64::from(word(bytes, 0x20)), disk_bytes, sector)
    }

    fn check(mut self, blocks_per_group: u64, disk_bytes: u64, sector: u64) -> Result<Self> {
        let damaged = |what| Err(VolumeError::Damaged(what));
        if !self.block.is_multiple_of(sector) {
            return Err(VolumeError::Feature(format!("blocks of {} bytes on a disk with blocks of {sector}", self.block)));
        }
        if self.blocks.checked_mul(self.block).is_none_or(|bytes| bytes > disk_bytes) {
            return damaged("it is larger than the disk that holds it");
        }
        if self.first_block != u64::from(self.block == 1024) || blocks_per_group == 0 || self.inodes_per_group == 0 {
            return damaged("its groups have an impossible size");
        }
        if !self.inode_bytes.is_power_of_two() || !(128..=self.block).contains(&self.inode_bytes) {
            return damaged("its inodes have an impossible size");
        }
        if !self.descriptor_bytes.is_power_of_two() || !(32..=self.block).contains(&self.descriptor_bytes) {
            return damaged("its group descriptors have an impossible size");
        }
        self.groups = self.blocks.saturating_sub(self.first_block).div_ceil(blocks_per_group);
        if self.first_block + 1 + self.descriptor_blocks() > self.blocks {
            return damaged("its group descriptors do not lie in it");
        }
        if u64::from(self.inodes) > self.groups.saturating_mul(self.inodes_per_group.into()) {
            return damaged("it has more inodes than its groups hold");
        }
        Ok(self)
    }

    /// Blocks of the group descriptors, which begin behind the superblock's.
    pub(super) fn descriptor_blocks(&self) -> u64 {
        self.groups.saturating_mul(self.descriptor_bytes).div_ceil(self.block)
    }
}

fn check_features(incompatible: u32) -> Result<()> {
    let unknown = incompatible & !OFFERED;
    if unknown == 0 {
        return Ok(());
    }
    let known = REFUSED.iter().find(|(bit, _)| unknown & bit != 0).map(|(_, name)| (*name).to_string());
    Err(VolumeError::Feature(known.unwrap_or_else(|| format!("FEATURE_I{}", unknown.trailing_zeros()))))
}

fn unclean(bytes: &[u8], incompatible: u32) -> Option<&'static str> {
    let state = half(bytes, 0x3a);
    if state & 2 != 0 {
        Some("errors were found in it")
    } else if incompatible & RECOVER != 0 || word(bytes, 0x64) & ORPHANS != 0 || word(bytes, 0xe8) != 0 {
        Some("it was not unmounted, and its journal must be replayed")
    } else if state & 1 == 0 {
        Some("it was not unmounted")
    } else {
        None
    }
}

/// A label without what has no place on an operator's screen.
fn printable(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).chars().filter(|letter| !letter.is_control()).collect()
}
