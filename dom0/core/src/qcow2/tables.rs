//! Changing entries of L2 tables. A table that a snapshot shares is copied first.

use super::entry::{COPIED, Entry};
use super::inner::Inner;
use super::slices::Phase;
use super::store::CHUNK;
use crate::block::DiskError;

impl Inner {
    /// The L2 table for a byte of the guest's disk, ours alone.
    pub async fn own_table(&self, offset: u64) -> Result<u64, DiskError> {
        let index = self.l1_index(offset);
        let raw = self.l1.borrow().get(index).copied().ok_or(DiskError::OutOfRange)?;
        let old = self.table_at(raw)?;
        if let Some(table) = old
            && raw & COPIED != 0
        {
            return Ok(table);
        }
        let (cluster, _) = self.allocate(1).await?;
        let table = cluster << self.geometry.cluster_bits;
        match self.fill_table(table, old).await {
            Ok(()) => {}
            Err(error) => {
                self.space.release((cluster, 1));
                return Err(error);
            }
        }
        self.new_tables.borrow_mut().insert(table);
        self.set_l1(index, table | COPIED)?;
        if let Some(old) = old {
            self.space.release((self.geometry.index(old), 1));
        }
        Ok(table)
    }

    async fn fill_table(&self, table: u64, old: Option<u64>) -> Result<(), DiskError> {
        let cluster = self.geometry.cluster();
        self.slices.borrow_mut().forget(table, cluster);
        let Some(old) = old else {
            return self.store.write_zeroes(table, cluster).await;
        };
        // The old one may have changes that are not written.
        self.commit().await?;
        for done in (0..cluster).step_by(CHUNK) {
            let mut entries = self.store.read(old + done, CHUNK.min((cluster - done) as usize)).await?;
            entries.iter_mut().step_by(8).for_each(|high| *high &= 0x7f);
            self.store.write(table + done, &entries).await?;
        }
        Ok(())
    }

    /// Replaces an entry of a table that is ours alone; what the old one referred to is given up.
    pub async fn replace_entry(&self, table: u64, offset: u64, raw: u64) -> Result<(), DiskError> {
        let at = self.entry_at(table, offset);
        let start = self.load(at).await?;
        let phase = if self.new_tables.borrow().contains(&table) { Phase::First } else { Phase::Second };
        let old = {
            let mut slices = self.slices.borrow_mut();
            let within = (at - start) as usize;
            let slice = slices.get(start).and_then(|slice| slice.get(within..)).and_then(|rest| rest.first_chunk());
            let old = self.entry(u64::from_be_bytes(*slice.ok_or(DiskError::NoMemory)?))?;
            let slice = slices.change(start, phase).and_then(|slice| slice.get_mut(within..within + 8));
            slice.ok_or(DiskError::NoMemory)?.copy_from_slice(&raw.to_be_bytes());
            old
        };
        if let Some(run) = Entry::clusters(old, self.geometry) {
            self.space.release(run);
        }
        Ok(())
    }
}
