//! Taking, restoring and deleting snapshots.
//!
//! A snapshot is a second L1 table. What both refer to is counted twice, and the flag for "ours alone" is gone; counts and flags cannot change in
//! one write. So an image of version 3 is marked dirty meanwhile: after a loss of power whoever opens it makes counts and flags
//! right. Version 2 has no such mark; there the order alone sees to it that a flag is never set on what is counted twice, and that
//! nothing in use is counted too low.

use alloc::rc::Rc;

use super::blocks::encode;
use super::entry::COPIED;
use super::error::ImageError;
use super::header::MAX_SNAPSHOTS;
use super::image::Image;
use super::inner::{Inner, read_table};
use super::slices::Phase;
use super::snapshots::{Kept, Taken, check_name, find};
use super::store::copied;

impl Image {
    /// Takes a snapshot of the guest's disk as it is now: of every write that has ended, as after a loss of power.
    ///
    /// # Errors
    /// When the name is taken or no name, there is no room, or the disk below fails.
    pub async fn take_snapshot(&self, name: &str, taken: Taken) -> Result<(), ImageError> {
        check_name(name)?;
        let name = alloc::string::String::from(name);
        self.inner.carried(|inner| async move { inner.alone(async || inner.take(&name, taken).await).await }).await
    }

    /// Makes the guest's disk what it was when a snapshot was taken, its size included; what it is now is lost. Not while a guest uses it.
    ///
    /// # Errors
    /// When there is no such snapshot, there is no room, or the disk below fails.
    pub async fn apply_snapshot(&self, name: &str) -> Result<(), ImageError> {
        let name = alloc::string::String::from(name);
        self.inner.carried(|inner| async move { inner.alone(async || inner.restore(&name).await).await }).await
    }

    /// Deletes a snapshot; the guest's disk stays as it is.
    ///
    /// # Errors
    /// When there is no such snapshot, or the disk below fails.
    pub async fn delete_snapshot(&self, name: &str) -> Result<(), ImageError> {
        let name = alloc::string::String::from(name);
        self.inner.carried(|inner| async move { inner.alone(async || inner.delete(&name).await).await }).await
    }
}

impl Inner {
    /// Does something while nobody is under way to a place and no places are told.
    async fn alone(&self, work: impl AsyncFnOnce() -> Result<(), ImageError>) -> Result<(), ImageError> {
        self.may_change()?;
        self.closed.set(true);
        self.traffic.pass(self.traffic.moment()).await;
        let done = async {
            self.commit().await?;
            work().await
        };
        let done = done.await;
        self.closed.set(false);
        done
    }

    async fn take(self: &Rc<Self>, name: &str, taken: Taken) -> Result<(), ImageError> {
        let mut kept = self.read_snapshots().await?;
        if kept.iter().any(|kept| kept.snapshot.name == name) {
            return Err(ImageError::SnapshotExists(name.into()));
        }
        if kept.len() as u64 + 2 > self.geometry.max_refcount() || kept.len() as u32 >= MAX_SNAPSHOTS {
            return Err(ImageError::SnapshotName("the image cannot have more snapshots: delete one first"));
        }
        // What can run out of room does so before anything is changed.
        let l1 = copied(&self.l1.borrow(), 0)?;
        let mut shared = copied(&l1, 0)?;
        shared.iter_mut().for_each(|entry| *entry &= !COPIED);
        let (at, _) = self.write_table(&encode(&shared)?).await?;
        let id = kept.iter().filter_map(|kept| kept.snapshot.id.parse::<u64>().ok()).max().unwrap_or(0) + 1;
        kept.push(Kept::new(id, name, taken, (at, l1.len() as u32), self.header.borrow().virtual_bytes)?);
        self.mark(true).await?;
        self.disown().await?;
        self.count_up(&l1).await?;
        self.write_snapshots(&kept, false).await?;
        Ok(self.commit().await?)
    }

    async fn restore(self: &Rc<Self>, name: &str) -> Result<(), ImageError> {
        let kept = self.read_snapshots().await?;
        let kept = &kept[find(&kept, name)?];
        let entries = self.geometry.l1_entries(kept.snapshot.virtual_bytes);
        if entries > kept.l1_entries.into() {
            return Err(ImageError::Damaged("the L1 table of the snapshot does not fit its disk"));
        }
        let mut new = read_table(&self.store, kept.l1_offset, kept.l1_entries as usize).await?;
        new.iter_mut().for_each(|entry| *entry &= !COPIED);
        self.mark(true).await?;
        self.count_up(&new).await?;
        let old = copied(&self.l1.borrow(), 0)?;
        self.busy.outdate();
        self.replace_l1(new, kept.snapshot.virtual_bytes).await?;
        self.count_down_all(&old).await?;
        self.finish().await
    }

    async fn delete(&self, name: &str) -> Result<(), ImageError> {
        let mut kept = self.read_snapshots().await?;
        let index = find(&kept, name)?;
        let gone = kept.remove(index);
        let l1 = read_table(&self.store, gone.l1_offset, gone.l1_entries as usize).await?;
        self.mark(true).await?;
        self.write_snapshots(&kept, true).await?;
        self.count_down_all(&l1).await?;
        let clusters = self.geometry.clusters(u64::from(gone.l1_entries) * 8);
        self.space.release((self.geometry.index(gone.l1_offset), clusters.max(1)));
        self.finish().await
    }

    /// Counts are right and durable; now the flags, then the mark goes.
    async fn finish(&self) -> Result<(), ImageError> {
        self.commit().await?;
        self.store.below.flush().await?;
        self.flags(true).await?;
        self.commit().await?;
        self.mark(false).await
    }

    /// Takes away the flags of the active disk, durably.
    async fn disown(&self) -> Result<(), ImageError> {
        let entries = self.l1.borrow().len();
        for index in 0..entries {
            let raw = self.l1.borrow().get(index).copied().unwrap_or(0);
            if raw & COPIED == 0 {
                continue;
            }
            self.set_l1(index, raw & !COPIED)?;
            let Some(table) = self.table_at(raw)? else {
                continue;
            };
            let mut at = table;
            while at < table + self.geometry.cluster() {
                let entries = self.entries(at).await?;
                for (number, raw) in (0..).zip(&entries) {
                    // In a packed entry the bit means nothing else.
                    if raw & COPIED != 0 {
                        self.set_raw(at + number * 8, raw & !COPIED).await?;
                    }
                }
                at += entries.len() as u64 * 8;
                self.relieve().await?;
            }
        }
        Ok(self.commit().await?)
    }

    /// One more reference to all that an L1 table refers to, durably.
    async fn count_up(&self, l1: &[u64]) -> Result<(), ImageError> {
        self.each_reference(l1, async |(first, count)| {
            for cluster in first..first + count {
                self.recount(cluster, false).await?;
            }
            Ok(self.write_if_crowded().await?)
        })
        .await?;
        Ok(self.commit().await?)
    }

    /// One reference less to all that an L1 table refers to, which nothing durable refers to any more.
    async fn count_down_all(&self, l1: &[u64]) -> Result<(), ImageError> {
        // Nothing is given out meanwhile, so that a table that is counted down can still be read.
        self.each_reference(l1, async |(first, count)| {
            for cluster in first..first + count {
                if self.recount(cluster, true).await? == 0 {
                    self.space.hint.set(self.space.hint.get().min(cluster));
                }
            }
            Ok(self.write_if_crowded().await?)
        })
        .await?;
        self.unpacked.take();
        self.write_changed(Phase::First).await?;
        // What was a table may become something else.
        self.slices.borrow_mut().forget(0, u64::MAX);
        Ok(())
    }

    async fn write_if_crowded(&self) -> Result<(), crate::block::DiskError> {
        if self.slices.borrow().crowded() { self.write_changed(Phase::First).await } else { Ok(()) }
    }
}
