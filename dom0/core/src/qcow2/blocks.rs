//! New refcount blocks, and a larger refcount table when they do not fit the old one. Both are rare, so each is durable before it is used.

use alloc::vec::Vec;

use super::error::ImageError;
use super::header::MAX_REFCOUNT_TABLE_BYTES;
use super::inner::Inner;
use super::store::{copied, zeroes};
use crate::block::DiskError;

impl Inner {
    /// Makes the block that counts a cluster, which has none: as none of its clusters is counted, all are free, and the first holds the block.
    pub async fn add_block(&self, cluster: u64) -> Result<(), DiskError> {
        let index = cluster / self.geometry.block_entries();
        if index >= self.space.table.borrow().len() as u64 {
            return self.grow_refcount_table().await;
        }
        let first = index * self.geometry.block_entries();
        self.refuse_vital(first, 1)?;
        let at = first << self.geometry.cluster_bits;
        self.slices.borrow_mut().forget(at, self.geometry.cluster());
        self.store.write(at, &self.new_block(1)?).await?;
        self.store.below.flush().await?;
        self.set_table(index as usize, at).await
    }

    /// Names a block, durably. Nothing is counted in it before: if it were used and then turned out not to be named below, so would its counts.
    pub async fn set_table(&self, index: usize, at: u64) -> Result<(), DiskError> {
        let block = self.store.block() as usize;
        let first = index * 8 / block * block / 8;
        let mut entries: Vec<u64> = self.space.table.borrow().iter().skip(first).take(block / 8).copied().collect();
        *entries.get_mut(index - first).ok_or(DiskError::OutOfRange)? = at;
        entries.resize(block / 8, 0);
        let table = self.header.borrow().refcount_table_offset;
        self.store.write(table + first as u64 * 8, &encode(&entries)?).await?;
        self.store.below.flush().await?;
        *self.space.table.borrow_mut().get_mut(index).ok_or(DiskError::OutOfRange)? = at;
        Ok(())
    }

    /// A table for all of what lies below. It comes behind the last cluster that the old one can count, with the blocks that count it.
    async fn grow_refcount_table(&self) -> Result<(), DiskError> {
        let geometry = self.geometry;
        let old = copied(&self.space.table.borrow(), 0)?;
        let first = old.len() as u64 * geometry.block_entries();
        let needed = self.clusters_below().div_ceil(geometry.block_entries()) * 8;
        let clusters = geometry.clusters(needed.min(MAX_REFCOUNT_TABLE_BYTES));
        let mut blocks = 1;
        while blocks * geometry.block_entries() < blocks + clusters {
            blocks += 1;
        }
        let entries = (clusters << geometry.cluster_bits) / 8;
        if first + blocks + clusters > self.clusters_below() || old.len() as u64 + blocks > entries {
            return Err(DiskError::NoSpace);
        }
        let place = |cluster: u64| cluster << geometry.cluster_bits;
        self.slices.borrow_mut().forget(place(first), place(blocks + clusters));
        let mut table = copied(&old, entries as usize)?;
        for index in 0..blocks {
            let used = (blocks + clusters).saturating_sub(index * geometry.block_entries());
            self.store.write(place(first + index), &self.new_block(used)?).await?;
            table[old.len() + index as usize] = place(first + index);
        }
        self.store.write(place(first + blocks), &encode(&table)?).await?;
        self.store.below.flush().await?;
        let freed = {
            let header = self.header.borrow();
            (geometry.index(header.refcount_table_offset), header.refcount_table_clusters.into())
        };
        self.patch(|header| {
            header.refcount_table_offset = place(first + blocks);
            header.refcount_table_clusters = clusters as u32;
        })
        .await?;
        self.space.table.replace(table);
        self.space.release(freed);
        Ok(())
    }

    /// Changes the header, durably.
    pub async fn patch(&self, change: impl FnOnce(&mut super::header::Header)) -> Result<(), ImageError> {
        let mut header = self.header.borrow().clone();
        change(&mut header);
        self.unsure.set(true);
        self.write_header(&header).await?;
        self.store.below.flush().await?;
        self.header.replace(header);
        self.unsure.set(false);
        Ok(())
    }

    /// After a change of the header that failed, so that either may lie below: the one that we go on with, for the next flush to make durable.
    pub async fn settle_header(&self) -> Result<(), DiskError> {
        if self.unsure.get() {
            let header = self.header.borrow().clone();
            self.write_header(&header).await?;
            self.unsure.set(false);
        }
        Ok(())
    }

    async fn write_header(&self, header: &super::header::Header) -> Result<(), ImageError> {
        let first = self.store.read(0, self.store.block() as usize).await?;
        Ok(self.store.write(0, &super::header::Patch::new(first).apply(header)?).await?)
    }
}

/// A table as it lies below.
pub(super) fn encode(table: &[u64]) -> Result<Vec<u8>, DiskError> {
    let mut bytes = zeroes(table.len() * 8)?;
    bytes.chunks_exact_mut(8).zip(table).for_each(|(into, entry)| into.copy_from_slice(&entry.to_be_bytes()));
    Ok(bytes)
}
