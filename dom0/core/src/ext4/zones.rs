//! Where metadata lie: a file that shall be written must not claim any of these blocks, whatever the volume says.

use alloc::vec::Vec;

use super::extents::{Extent, Map};
use super::le::{long, word};
use super::{Result, Volume, VolumeError};

/// Groups at most for this: 128 TiB with the usual blocks.
const MOST_GROUPS: u64 = 1 << 20;
/// Bytes of descriptors that are read at a time; a multiple of any descriptor.
const CHUNK: u64 = 64 << 10;

/// Extents by their place in the volume; they do not overlap.
struct Sorted(Vec<Extent>);

impl Sorted {
    fn new(extents: &[Extent]) -> Result<Self> {
        let mut sorted = extents.to_vec();
        sorted.sort_unstable_by_key(|extent| extent.start);
        let overlap = sorted.iter().zip(sorted.iter().skip(1)).any(|(one, other)| one.start + one.count > other.start);
        if overlap { Err(VolumeError::Damaged("a block is in a file twice")) } else { Ok(Self(sorted)) }
    }

    /// Whether none of these blocks is the file's.
    fn avoid(&self, start: u64, count: u64) -> Result<()> {
        let after = self.0.partition_point(|extent| extent.start + extent.count <= start);
        match self.0.get(after) {
            Some(extent) if extent.start < start.saturating_add(count) => Err(VolumeError::Damaged("a file contains metadata")),
            _ => Ok(()),
        }
    }
}

impl Volume {
    /// Checks a file's blocks against those of metadata.
    pub(super) async fn check_zones(&self, map: &Map) -> Result<()> {
        let superblock = &self.superblock;
        let sorted = Sorted::new(&map.extents)?;
        map.nodes.iter().try_for_each(|node| sorted.avoid(*node, 1))?;
        let first = superblock.first_block + 1;
        sorted.avoid(0, first + superblock.descriptor_blocks())?;
        if superblock.groups > MOST_GROUPS {
            return Err(VolumeError::Damaged("it has more than 1048576 groups"));
        }
        let table_blocks = (u64::from(superblock.inodes_per_group) * superblock.inode_bytes).div_ceil(superblock.block);
        let end = superblock.groups * superblock.descriptor_bytes;
        for at in (0..end).step_by(CHUNK as usize) {
            let bytes = self.read(first * superblock.block + at, (end - at).min(CHUNK) as usize).await?;
            for descriptor in bytes.chunks_exact(superblock.descriptor_bytes as usize) {
                let wide = descriptor.len() >= 64;
                let block = |low, high| if wide { long(descriptor, low, high) } else { word(descriptor, low).into() };
                sorted.avoid(block(0x0, 0x20), 1)?;
                sorted.avoid(block(0x4, 0x24), 1)?;
                sorted.avoid(block(0x8, 0x28), table_blocks)?;
            }
        }
        Ok(())
    }
}
