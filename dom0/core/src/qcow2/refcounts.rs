//! Reference counts: how many entries refer to a cluster of the file. 0 is free.

use super::entry::OFFSET;
use super::error::ImageError;
use super::inner::Inner;
use super::slices::Phase;
use super::store::zeroes;
use crate::block::DiskError;

impl Inner {
    /// Whole clusters of what lies below: those that can be given out.
    pub fn clusters_below(&self) -> u64 {
        // It may have grown.
        self.below_bytes.set(self.store.below.info().bytes);
        self.geometry.index(self.below_bytes.get())
    }

    /// Where the block lies that has the count of a cluster.
    pub fn refcount_block(&self, cluster: u64) -> Result<Option<u64>, DiskError> {
        let index = (cluster / self.geometry.block_entries()) as usize;
        let at = self.space.table.borrow().get(index).map_or(0, |raw| raw & OFFSET);
        let what = "a refcount block lies outside of the file";
        self.geometry.area(at, if at == 0 { 0 } else { self.geometry.cluster() }, self.below_bytes.get(), what)?;
        Ok((at != 0).then_some(at))
    }

    /// The count of a cluster.
    pub async fn refcount(&self, cluster: u64) -> Result<u64, DiskError> {
        let Some(block) = self.refcount_block(cluster)? else {
            return Ok(0);
        };
        let (start, bit) = self.load_count(block, cluster).await?;
        let slices = self.slices.borrow();
        slices.get(start).map(|slice| get(slice, bit, self.geometry.refcount_order)).ok_or(DiskError::NoMemory)
    }

    /// Changes the count of a cluster, whose block is there.
    pub async fn set_refcount(&self, cluster: u64, count: u64) -> Result<(), DiskError> {
        let block = self.refcount_block(cluster)?.ok_or(DiskError::Corrupt("a cluster that is in use is not counted"))?;
        let (start, bit) = self.load_count(block, cluster).await?;
        let mut slices = self.slices.borrow_mut();
        let slice = slices.change(start, Phase::First).ok_or(DiskError::NoMemory)?;
        set(slice, bit, self.geometry.refcount_order, count);
        Ok(())
    }

    /// One more reference, or with `less` one less.
    pub async fn recount(&self, cluster: u64, less: bool) -> Result<u64, DiskError> {
        let count = self.refcount(cluster).await?;
        let new = match (less, count) {
            (true, 0) => return Err(DiskError::Corrupt("a cluster that is in use is counted as free")),
            (true, count) => count - 1,
            (false, count) if count >= self.geometry.max_refcount() => {
                return Err(DiskError::Corrupt("a reference count would not fit its width"));
            }
            (false, count) => count + 1,
        };
        self.set_refcount(cluster, new).await?;
        Ok(new)
    }

    /// Loads the slice of a block that has a cluster's count: where it begins, and the bit in it.
    pub async fn load_count(&self, block: u64, cluster: u64) -> Result<(u64, u64), DiskError> {
        let bit = (cluster % self.geometry.block_entries()) << self.geometry.refcount_order;
        let at = block + bit / 8;
        let start = self.load(at).await?;
        Ok((start, (at - start) * 8 + bit % 8))
    }

    /// A block that counts the first `used` clusters once and no other.
    pub fn new_block(&self, used: u64) -> Result<alloc::vec::Vec<u8>, DiskError> {
        let mut block = zeroes(self.geometry.cluster() as usize)?;
        let order = self.geometry.refcount_order;
        (0..used.min(self.geometry.block_entries())).for_each(|index| set(&mut block, index << order, order, 1));
        Ok(block)
    }

    /// Whether a cluster that is said to be free is one that the image cannot do without.
    pub fn refuse_vital(&self, first: u64, count: u64) -> Result<(), ImageError> {
        let header = self.header.borrow();
        let geometry = self.geometry;
        let areas = [
            (0, 1),
            (geometry.index(header.l1_offset), geometry.clusters(u64::from(header.l1_entries) * 8)),
            (geometry.index(header.refcount_table_offset), header.refcount_table_clusters.into()),
            (geometry.index(header.snapshots_offset), header.snapshots.min(1).into()),
        ];
        let meets = areas.iter().any(|&(start, length)| first < start + length && start < first + count);
        if meets { Err(ImageError::Damaged("tables are counted as free")) } else { Ok(()) }
    }
}

/// The count at a bit of a block. Counts narrower than a byte begin with its lowest bit, wider ones are big-endian.
pub(super) fn get(block: &[u8], bit: u64, order: u32) -> u64 {
    let at = (bit / 8) as usize;
    if order < 3 {
        let byte = block.get(at).copied().unwrap_or(0);
        return u64::from(byte >> (bit % 8)) & ((1 << (1 << order)) - 1);
    }
    let bytes = block.get(at..at + (1 << (order - 3))).unwrap_or(&[]);
    bytes.iter().fold(0, |count, &byte| count << 8 | u64::from(byte))
}

/// Sets it.
pub(super) fn set(block: &mut [u8], bit: u64, order: u32, count: u64) {
    let at = (bit / 8) as usize;
    if order < 3 {
        let mask = ((1u16 << (1 << order)) - 1) as u8;
        if let Some(byte) = block.get_mut(at) {
            *byte = *byte & !(mask << (bit % 8)) | (count as u8 & mask) << (bit % 8);
        }
        return;
    }
    let width = 1 << (order - 3);
    if let Some(bytes) = block.get_mut(at..at + width) {
        bytes.copy_from_slice(&count.to_be_bytes()[8 - width..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_every_width() {
        for order in 0..=6 {
            let mut block = [0; 512];
            let most = u64::MAX >> (64 - (1 << order));
            for index in 0..20u64 {
                set(&mut block, index << order, order, (index * 77).min(most));
            }
            set(&mut block, 7 << order, order, most);
            assert!((0..20).all(|index| get(&block, index << order, order) == if index == 7 { most } else { (index * 77).min(most) }));
            assert!(block[(20usize << order).div_ceil(8)..].iter().all(|&byte| byte == 0));
        }
        let mut block = [0; 512];
        set(&mut block, 3, 0, 1);
        set(&mut block, 16, 4, 0x1234);
        assert_eq!(block[..4], [0b1000, 0, 0x12, 0x34]);
    }
}
