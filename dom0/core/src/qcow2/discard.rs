//! Discarding: whole clusters are given up and read as zeroes. Parts of clusters stay as they are, which is allowed.

use alloc::rc::Rc;

use super::entry::ZERO;
use super::inner::Inner;
use super::lookup::{Found, Source};
use crate::block::DiskError;

/// Clusters that are looked at before others get their turn.
const AT_A_TIME: u64 = 512;

impl Inner {
    /// Forgets what the guest's disk shows there.
    pub async fn discard(self: &Rc<Self>, offset: u64, bytes: u64) -> Result<(), DiskError> {
        let geometry = self.geometry;
        let end = offset + bytes;
        // The last cluster may be cut short by the disk's end.
        let last = if end == self.bytes() { geometry.clusters(end) } else { geometry.index(end) };
        let mut next = geometry.clusters(offset);
        // Without a flag for zeroes the backing disk would show again.
        if self.version() < 3 && self.backing.is_some() {
            return Ok(());
        }
        while next < last {
            next += self.carried(|inner| async move { inner.discard_some(next, last - next).await }).await?;
        }
        Ok(())
    }

    /// Discards one run of clusters and says how many they were.
    async fn discard_some(&self, first: u64, count: u64) -> Result<u64, DiskError> {
        let bits = self.geometry.cluster_bits;
        let (source, bytes) = loop {
            match self.look(first << bits, count << bits)? {
                Found::Missing(at) => self.load(at).await?,
                Found::Run(source, bytes) => break (source, bytes),
            };
        };
        let clusters = self.geometry.index(bytes).max(1);
        if matches!(source, Source::Backing | Source::Zeroes) {
            return Ok(clusters);
        }
        let clusters = clusters.min(AT_A_TIME);
        let raw = if self.backing.is_some() { ZERO } else { 0 };
        for cluster in first..first + clusters {
            // A table that a snapshot shares has to be copied; without room for it, the contents stay.
            let table = match self.own_table(cluster << bits).await {
                Err(DiskError::NoSpace) => return Ok(clusters),
                table => table?,
            };
            self.replace_entry(table, cluster << bits, raw).await?;
        }
        self.relieve().await?;
        Ok(clusters)
    }
}
