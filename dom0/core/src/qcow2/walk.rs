//! Everything that an image refers to.

use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::Poll;

use super::entry::{Entry, OFFSET};
use super::error::ImageError;
use super::inner::{Inner, read_table};
use super::space::Run;
use super::store::copied;

impl Inner {
    /// Calls `act` with each run of clusters that the tables below an L1 table refer to, once for each reference; not the L1 table itself.
    /// Entries that cannot be believed are counted.
    pub async fn each_reference(&self, l1: &[u64], mut act: impl AsyncFnMut(Run) -> Result<(), ImageError>) -> Result<u64, ImageError> {
        let mut damaged = 0;
        // Each table is referred to once: so the work is bounded by the size of the file, whatever the tables say.
        let tables = l1.iter().filter(|&&raw| raw & OFFSET != 0).count() as u64;
        if tables > self.geometry.clusters(self.below_bytes.get()) {
            return Err(ImageError::Damaged("an L1 table refers to more tables than the file can hold"));
        }
        for &raw in l1 {
            let table = match self.table_at(raw) {
                Ok(None) => continue,
                Ok(Some(table)) => table,
                Err(_) => {
                    damaged += 1;
                    continue;
                }
            };
            act((self.geometry.index(table), 1)).await?;
            let end = table + self.geometry.cluster();
            let mut at = table;
            while at < end {
                let entries = self.entries(at).await?;
                at += entries.len() as u64 * 8;
                for raw in entries {
                    match self.entry(raw).map(|entry| Entry::clusters(entry, self.geometry)) {
                        Ok(None) => {}
                        Ok(Some(run)) => act(run).await?,
                        Err(_) => damaged += 1,
                    }
                }
            }
        }
        Ok(damaged)
    }

    /// The entries of the slice that begins at `start`. Others get their turn before, as a walk is long.
    pub async fn entries(&self, start: u64) -> Result<Vec<u64>, ImageError> {
        breathe().await;
        let start = self.load(start).await?;
        let slices = self.slices.borrow();
        let slice = slices.get(start).ok_or(crate::block::DiskError::NoMemory)?;
        Ok(slice.as_chunks().0.iter().map(|entry| u64::from_be_bytes(*entry)).collect())
    }

    /// Calls `act` with everything: header, tables, snapshots, and what they refer to.
    pub async fn each_use(&self, mut act: impl AsyncFnMut(Run) -> Result<(), ImageError>) -> Result<u64, ImageError> {
        let header = self.header.borrow().clone();
        let geometry = self.geometry;
        let l1_run = |offset: u64, entries: u64| (geometry.index(offset), geometry.clusters(entries * 8));
        act((0, 1)).await?;
        act(l1_run(header.l1_offset, header.l1_entries.into())).await?;
        act((geometry.index(header.refcount_table_offset), header.refcount_table_clusters.into())).await?;
        let blocks = self.space.table.borrow().len() as u64;
        for index in 0..blocks {
            // One that lies outside counts nothing, so what it counts will be missed.
            if let Ok(Some(block)) = self.refcount_block(index * geometry.block_entries()) {
                act((geometry.index(block), 1)).await?;
            }
        }
        let l1 = copied(&self.l1.borrow(), 0)?;
        let mut damaged = self.each_reference(&l1, &mut act).await?;
        let kept = self.read_snapshots().await?;
        if !kept.is_empty() {
            let bytes: u64 = kept.iter().map(|kept| kept.bytes()).sum();
            act((geometry.index(header.snapshots_offset), geometry.clusters(bytes))).await?;
        }
        for kept in kept {
            act(l1_run(kept.l1_offset, kept.l1_entries.into())).await?;
            let l1 = read_table(&self.store, kept.l1_offset, kept.l1_entries as usize).await?;
            damaged += self.each_reference(&l1, &mut act).await?;
        }
        Ok(damaged)
    }
}

/// Lets others run.
pub(super) async fn breathe() {
    let mut first = true;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if core::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}
