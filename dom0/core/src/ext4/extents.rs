//! The tree of extents: which blocks of the volume are which blocks of a file.

use alloc::{vec, vec::Vec};

use super::le::{half, word};
use super::{Inode, Result, Volume, VolumeError};
use crate::block::DiskError;

const MAGIC: u16 = 0xf30a;
/// Bytes of a node's header and of each entry.
const ENTRY: usize = 12;
/// Levels below the root at most.
const DEEPEST: u16 = 5;
/// A length above this says that the blocks were allocated but never written.
const LONGEST: u16 = 32768;
/// Nodes and extents of one file at most: they bound what a file can cost (8 MiB of memory).
const MOST_NODES: usize = 8192;
const MOST_EXTENTS: usize = 1 << 18;

/// Blocks that lie together, both in the file and in the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first in the file.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// The first in the volume.
    pub start: u64,
    /// Whether they hold data; otherwise they read as zeroes.
    pub written: bool,
}

/// A file's blocks.
pub struct Map {
    /// In the file's order; apart from each other.
    pub extents: Vec<Extent>,
    /// Blocks of the volume that hold the tree.
    pub nodes: Vec<u64>,
}

impl Map {
    fn push(&mut self, extent: Extent) -> Result<()> {
        if let Some(last) = self.extents.last_mut() {
            if extent.first < last.first + last.count {
                return Err(VolumeError::Damaged("the extents of a file overlap"));
            }
            let joins = last.first + last.count == extent.first && last.start + last.count == extent.start;
            if joins && last.written == extent.written {
                last.count += extent.count;
                return Ok(());
            }
        }
        if self.extents.len() == MOST_EXTENTS {
            return Err(VolumeError::Damaged("a file has more than 262144 extents: copy it"));
        }
        self.extents.try_reserve(1).map_err(|_| DiskError::NoMemory)?;
        self.extents.push(extent);
        Ok(())
    }
}

/// A node that is still to be read.
struct Pending {
    block: u64,
    depth: u16,
}

impl Volume {
    /// Reads a file's whole tree.
    pub(super) async fn map(&self, inode: &Inode) -> Result<Map> {
        let mut map = Map { extents: Vec::new(), nodes: Vec::new() };
        let mut pending = vec![];
        self.node(&inode.root, None, &mut map, &mut pending)?;
        while let Some(Pending { block, depth }) = pending.pop() {
            if map.nodes.len() == MOST_NODES {
                return Err(VolumeError::Damaged("a file's tree of extents has more than 8192 blocks: copy it"));
            }
            map.nodes.push(block);
            let bytes = self.block(block).await?;
            self.node(&bytes, Some(depth), &mut map, &mut pending)?;
        }
        Ok(map)
    }

    /// Takes what a node has: extents at once, further nodes for later. The next in the file's order is the last of `pending`.
    fn node(&self, bytes: &[u8], expected: Option<u16>, map: &mut Map, pending: &mut Vec<Pending>) -> Result<()> {
        let (entries, depth) = (half(bytes, 2) as usize, half(bytes, 6));
        let depth_fits = expected.map_or(depth <= DEEPEST, |expected| expected == depth);
        if half(bytes, 0) != MAGIC || !depth_fits || (entries + 1) * ENTRY > bytes.len() {
            return Err(VolumeError::Damaged("a node of a file's tree of extents makes no sense"));
        }
        let entries = bytes.chunks_exact(ENTRY).skip(1).take(entries);
        if let Some(below) = depth.checked_sub(1) {
            let child = |entry: &[u8]| Pending { block: u64::from(word(entry, 4)) | u64::from(half(entry, 8)) << 32, depth: below };
            if pending.len() > MOST_NODES {
                return Err(VolumeError::Damaged("a file's tree of extents has more than 8192 blocks: copy it"));
            }
            pending.extend(entries.rev().map(child));
            return Ok(());
        }
        entries.map(extent).try_for_each(|extent| {
            let inside = extent.start.checked_add(extent.count).is_some_and(|end| end <= self.superblock.blocks);
            if extent.count == 0 || extent.start == 0 || !inside {
                return Err(VolumeError::Damaged("an extent of a file does not lie in the volume"));
            }
            map.push(extent)
        })
    }
}

fn extent(entry: &[u8]) -> Extent {
    let length = half(entry, 4);
    let written = length <= LONGEST;
    Extent {
        first: word(entry, 0).into(),
        count: if written { length } else { length - LONGEST }.into(),
        start: u64::from(word(entry, 8)) | u64::from(half(entry, 6)) << 32,
        written,
    }
}
