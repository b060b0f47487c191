//! Are the reference counts right? Everything that refers to a cluster is counted anew and compared.
//!
//! The counting takes a bounded amount of memory: of a large file it does one part after the other.

use alloc::vec;
use alloc::vec::Vec;

use super::entry::{COPIED, Entry};
use super::error::ImageError;
use super::image::Image;
use super::inner::Inner;
use super::slices::Phase;
use crate::block::DiskError;

/// Clusters that are counted at once; 4 MiB of counters.
const WINDOW: u64 = 1 << 20;

/// What a check found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Clusters that are in use.
    pub used: u64,
    /// Clusters that are counted more often than they are used: lost room, harmless.
    pub leaked: u64,
    /// Clusters that are counted less often than they are used: they could be given out twice.
    pub uncounted: u64,
    /// Entries of the active disk whose flag for "ours alone" contradicts the count.
    pub flags: u64,
    /// Those of them that have the flag: what others refer to would be written in place. The rest costs a copy at worst.
    pub false_flags: u64,
    /// Entries that are nonsense.
    pub damaged: u64,
}

impl Report {
    /// Whether the image may be used as it is; leaks do no harm.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.uncounted == 0 && self.flags == 0 && self.damaged == 0
    }
}

impl Image {
    /// Counts all references and compares. The guest's requests may wait meanwhile.
    ///
    /// # Errors
    /// When the disk below fails.
    pub async fn check(&self) -> Result<Report, ImageError> {
        let inner = self.inner.clone();
        inner.carried(|inner| async move { inner.check().await }).await
    }
}

impl Inner {
    async fn check(&self) -> Result<Report, ImageError> {
        if self.access == super::Access::ReadWrite {
            self.commit().await?;
        }
        let mut report = Report::default();
        let clusters = self.geometry.clusters(self.below_bytes.get());
        for from in (0..clusters).step_by(WINDOW as usize) {
            let (counts, damaged) = self.count(from, WINDOW.min(clusters - from)).await?;
            report.damaged = damaged;
            for (cluster, counted) in (from..).zip(counts) {
                let stored = self.refcount(cluster).await?;
                report.used += u64::from(counted != 0);
                report.leaked += u64::from(stored > counted.into());
                report.uncounted += u64::from(stored < counted.into());
            }
        }
        (report.flags, report.false_flags) = self.flags(false).await?;
        Ok(report)
    }

    /// How often each of some clusters is used, and the number of entries that are nonsense.
    async fn count(&self, from: u64, clusters: u64) -> Result<(Vec<u32>, u64), ImageError> {
        let mut counts: Vec<u32> = vec![];
        counts.try_reserve_exact(clusters as usize).map_err(|_| DiskError::NoMemory)?;
        counts.resize(clusters as usize, 0);
        let damaged = self
            .each_use(async |(first, count)| {
                for cluster in first.max(from)..(first + count).min(from + clusters) {
                    let count = &mut counts[(cluster - from) as usize];
                    *count = count.saturating_add(1);
                }
                Ok(())
            })
            .await?;
        Ok((counts, damaged))
    }

    /// How many flags of the active disk contradict the counts, and how many of them are set; with `set` they are put right.
    pub async fn flags(&self, set: bool) -> Result<(u64, u64), ImageError> {
        let (mut wrong, mut false_ones) = (0, 0);
        if set {
            self.busy.outdate();
        }
        let entries = self.l1.borrow().len();
        for index in 0..entries {
            let raw = self.l1.borrow().get(index).copied().unwrap_or(0);
            let Ok(Some(table)) = self.table_at(raw) else {
                continue;
            };
            let right = self.right_flag(raw, self.geometry.index(table)).await?;
            if right != raw {
                wrong += 1;
                false_ones += raw >> 63;
                if set {
                    self.set_l1(index, right)?;
                }
            }
            let mut at = table;
            while at < table + self.geometry.cluster() {
                let entries = self.entries(at).await?;
                for (number, raw) in (0..).zip(&entries) {
                    let Ok(entry) = self.entry(*raw) else {
                        continue;
                    };
                    // Packed clusters are never ours alone.
                    let right = match (entry, entry.clusters(self.geometry)) {
                        (Entry::Packed(_), _) | (_, None) => raw & !COPIED,
                        (_, Some((cluster, _))) => self.right_flag(*raw, cluster).await?,
                    };
                    if right != *raw {
                        wrong += 1;
                        false_ones += raw >> 63;
                        if set {
                            self.set_raw(at + number * 8, right).await?;
                        }
                    }
                }
                at += entries.len() as u64 * 8;
                if set {
                    self.relieve().await?;
                }
            }
        }
        Ok((wrong, false_ones))
    }

    async fn right_flag(&self, raw: u64, cluster: u64) -> Result<u64, ImageError> {
        Ok(if self.refcount(cluster).await? == 1 { raw | COPIED } else { raw & !COPIED })
    }

    /// Changes an entry of an L2 table where only its flag changes.
    pub async fn set_raw(&self, at: u64, raw: u64) -> Result<(), DiskError> {
        let start = self.load(at).await?;
        let within = (at - start) as usize;
        let mut slices = self.slices.borrow_mut();
        let entry = slices.change(start, Phase::Second).and_then(|slice| slice.get_mut(within..within + 8));
        entry.ok_or(DiskError::NoMemory)?.copy_from_slice(&raw.to_be_bytes());
        Ok(())
    }

    /// Makes the counts right, of an image that was not closed with lazy reference counts or whose snapshots were being changed. The flag that
    /// says so goes last, so an interrupted repair begins anew.
    pub async fn repair(&self) -> Result<(), ImageError> {
        let clusters = self.geometry.clusters(self.below_bytes.get());
        for from in (0..clusters).step_by(WINDOW as usize) {
            let (counts, damaged) = self.count(from, WINDOW.min(clusters - from)).await?;
            if damaged != 0 {
                return Err(ImageError::NeedsRepair("its tables contain nonsense"));
            }
            for (cluster, counted) in (from..).zip(&counts) {
                let counted = u64::from(*counted);
                if counted > self.geometry.max_refcount() {
                    return Err(ImageError::NeedsRepair("a reference count does not fit its width"));
                }
                if self.refcount(cluster).await? == counted {
                    continue;
                }
                if self.refcount_block(cluster)?.is_none() {
                    // Its first cluster would hold the new block, and that one may be in use.
                    return Err(ImageError::NeedsRepair("a refcount block is missing"));
                }
                self.set_refcount(cluster, counted).await?;
                if self.slices.borrow().crowded() {
                    self.write_changed(Phase::First).await?;
                }
            }
        }
        self.space.hint.set(0);
        self.commit().await?;
        self.flags(true).await?;
        self.commit().await?;
        self.mark(false).await
    }

    /// Marks the image as one whose counts may be wrong, or not any more. Version 2 has no mark.
    pub async fn mark(&self, dirty: bool) -> Result<(), ImageError> {
        if self.version() < 3 {
            return Ok(());
        }
        self.store.below.flush().await?;
        self.patch(|header| header.set_dirty(dirty)).await
    }
}
