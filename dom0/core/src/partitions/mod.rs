//! Partitions: GPT and MBR tables read from a disk, and a partition as a disk of its own.
//!
//! A table is what somebody wrote who may be a guest: it is bounded, checked as a whole, and refused as a whole with one message. What
//! it gives lies on the disk, overlaps nothing, and does not contain the table.

mod disk;
mod gpt;
mod mbr;
#[cfg(test)]
mod tests;

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use crate::block::{Disk, DiskError, Memory, SECTOR};

pub use disk::Slice;

/// Which kind of table it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The GUID partition table of UEFI.
    Gpt,
    /// The master boot record of the PC.
    Mbr,
}

impl Scheme {
    /// Its name, as `lsblk` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gpt => "gpt",
            Self::Mbr => "dos",
        }
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1 on; logical partitions of an MBR from 5 on.
    pub number: u32,
    /// Where it begins, in bytes.
    pub start: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The name that a GPT has for it; may be empty.
    pub name: String,
}

impl Partition {
    fn end(&self) -> u64 {
        self.start + self.bytes
    }
}

/// What a disk's table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its kind.
    pub scheme: Scheme,
    /// By number.
    pub partitions: Vec<Partition>,
    /// Something that the operator should know, and do.
    pub warning: Option<&'static str>,
}

/// Why a table is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableError {
    /// It contradicts itself or the disk.
    Damaged(String),
    /// The disk cannot be read.
    Disk(DiskError),
}

impl From<DiskError> for TableError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(what) => write!(to, "the partition table is not used: {what}; look at it with sfdisk --verify in a guest"),
            Self::Disk(error) => write!(to, "the partition table cannot be read: {error}"),
        }
    }
}

impl core::error::Error for TableError {}

fn damaged<T>(what: impl ToString) -> Result<T, TableError> {
    Err(TableError::Damaged(what.to_string()))
}

/// Reads a disk's table; none if it has none.
///
/// # Errors
/// When there is one that makes no sense, and when the disk fails.
pub async fn read(disk: &dyn Disk, memory: &dyn Memory) -> Result<Option<Table>, TableError> {
    let block = u64::from(disk.info().logical_block).max(SECTOR);
    if disk.info().bytes < 2 * block {
        return Ok(None);
    }
    let source = Source { disk, memory, block, blocks: disk.info().bytes / block };
    let Some(record) = mbr::record(&source, 0).await? else {
        return Ok(None);
    };
    let table = if record.is_protective() { gpt::read(&source).await? } else { mbr::read(&source, &record).await? };
    Ok(table)
}

/// A disk in its logical blocks, which is what both kinds of table count in.
struct Source<'a> {
    disk: &'a dyn Disk,
    memory: &'a dyn Memory,
    /// Bytes of a block.
    block: u64,
    /// How many blocks there are.
    blocks: u64,
}

impl Source<'_> {
    async fn read(&self, block: u64, bytes: usize) -> Result<Vec<u8>, DiskError> {
        let at = block.checked_mul(self.block).ok_or(DiskError::OutOfRange)?;
        crate::block::read_bytes(self.disk, self.memory, at, bytes).await
    }

    /// A partition of whole blocks, `end` excluded, if it lies on the disk.
    fn partition(&self, number: u32, start: u64, end: u64, name: String) -> Result<Partition, TableError> {
        if start >= end {
            return damaged(format!("partition {number} ends before it begins"));
        }
        if end > self.blocks {
            return damaged(format!("partition {number} lies beyond the end of the disk"));
        }
        Ok(Partition { number, start: start * self.block, bytes: (end - start) * self.block, name })
    }
}

/// Whether no two of them overlap, and none has one of the table's own blocks (byte ranges, `end` excluded).
fn check_apart(partitions: &[Partition], own: &[(u64, u64)]) -> Result<(), TableError> {
    let mut sorted: Vec<&Partition> = partitions.iter().collect();
    sorted.sort_unstable_by_key(|partition| partition.start);
    let mut pairs = sorted.iter().zip(sorted.iter().skip(1));
    if let Some((one, other)) = pairs.find(|(one, other)| one.end() > other.start) {
        return damaged(format!("partitions {} and {} overlap", one.number, other.number));
    }
    let bad = own.iter().find_map(|(start, end)| {
        let after = sorted.partition_point(|partition| partition.end() <= *start);
        sorted.get(after).filter(|partition| partition.start < *end)
    });
    bad.map_or(Ok(()), |partition| damaged(format!("partition {} contains a part of the table", partition.number)))
}
