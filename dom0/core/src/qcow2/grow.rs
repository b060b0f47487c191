//! A larger disk for the guest.

use alloc::rc::Rc;

use super::blocks::encode;
use super::entry::{COPIED, ZERO};
use super::error::ImageError;
use super::image::Image;
use super::inner::{Access, Inner};
use super::lookup::Source;
use super::space::Run;
use super::store::{CHUNK, copied};
use crate::block::DiskError;

impl Image {
    /// Makes the guest's disk larger; what is new reads as zeroes. The room below stays as it is.
    ///
    /// # Errors
    /// When it would shrink or is too large, when there is no room for a larger L1 table, and when the disk below fails.
    pub async fn grow(&self, virtual_bytes: u64) -> Result<(), ImageError> {
        let inner = self.inner.clone();
        inner.carried(|inner| async move { inner.grow(virtual_bytes).await }).await
    }
}

impl Inner {
    /// Refuses to change an image that is only looked at, or is somebody else's by now.
    pub fn may_change(&self) -> Result<(), ImageError> {
        if self.shut.get() {
            return Err(ImageError::CannotHere("its user has let go of the image meanwhile: try again"));
        }
        if self.access == Access::ReadOnly { Err(DiskError::ReadOnly.into()) } else { Ok(()) }
    }

    async fn grow(self: &Rc<Self>, to: u64) -> Result<(), ImageError> {
        self.may_change()?;
        let header = self.header.borrow().clone();
        let from = header.virtual_bytes;
        if to < from {
            return Err(ImageError::Shrink { from, to });
        }
        if to > self.geometry.max_virtual_bytes() {
            return Err(ImageError::Size("the disk would be larger than the image's tables can describe"));
        }
        if header.version < 3 && header.snapshots != 0 {
            return Err(ImageError::CannotHere(
                "an image of version 2 with snapshots cannot grow: convert it with qemu-img amend -o compat=1.1",
            ));
        }
        self.commit().await?;
        let entries = self.geometry.l1_entries(to);
        if entries > header.l1_entries.into() {
            let l1 = copied(&self.l1.borrow(), entries as usize)?;
            self.replace_l1(l1, from).await?;
        }
        self.hide(to).await?;
        self.commit().await?;
        self.patch(|header| header.virtual_bytes = to).await
    }

    /// Puts an L1 table in the place of the active one, with the size of its disk.
    pub async fn replace_l1(&self, l1: alloc::vec::Vec<u64>, virtual_bytes: u64) -> Result<(), ImageError> {
        let (at, _) = self.write_table(&encode(&l1)?).await?;
        self.commit().await?;
        let old = self.header.borrow().clone();
        self.patch(|header| {
            header.l1_offset = at;
            header.l1_entries = l1.len() as u32;
            header.virtual_bytes = virtual_bytes;
        })
        .await?;
        self.l1.replace(l1);
        self.l1_changed.take();
        self.new_tables.take();
        let clusters = self.geometry.clusters(u64::from(old.l1_entries) * 8);
        if clusters != 0 {
            self.space.release((self.geometry.index(old.l1_offset), clusters));
        }
        Ok(())
    }

    /// Writes a table into new clusters: where it lies, and its clusters.
    pub async fn write_table(&self, bytes: &[u8]) -> Result<(u64, Run), ImageError> {
        let count = self.geometry.clusters(bytes.len() as u64).max(1);
        let first = self.allocate_table(count).await?;
        let at = first << self.geometry.cluster_bits;
        self.slices.borrow_mut().forget(at, count << self.geometry.cluster_bits);
        self.store.write_padded(at, bytes, count << self.geometry.cluster_bits).await?;
        Ok((at, (first, count)))
    }

    /// Sees to it that zeroes come behind the old end: what the last cluster has there was never the guest's, and a backing disk that is longer
    /// must not begin to show.
    async fn hide(self: &Rc<Self>, to: u64) -> Result<(), ImageError> {
        let (bits, end) = (self.geometry.cluster_bits, self.bytes());
        if self.geometry.within(end) != 0 {
            self.clear(self.geometry.index(end), end).await?;
        }
        let shown = self.backing.as_ref().map_or(0, |backing| backing.info().bytes.min(to));
        for cluster in self.geometry.clusters(end)..self.geometry.clusters(shown) {
            if self.version() < 3 {
                self.clear(cluster, end).await?;
                continue;
            }
            let table = self.own_table(cluster << bits).await?;
            self.replace_entry(table, cluster << bits, ZERO).await?;
            self.relieve().await?;
        }
        Ok(())
    }

    /// Clears a cluster from the byte `end` of the guest's disk on; what comes before stays.
    async fn clear(self: &Rc<Self>, cluster: u64, end: u64) -> Result<(), ImageError> {
        let start = cluster << self.geometry.cluster_bits;
        let keep = end.saturating_sub(start);
        let (source, _, visit) = self.find_carried(start, self.geometry.cluster()).await?;
        visit.done();
        match source {
            Source::Zeroes => return Ok(()),
            Source::Backing if self.backing.as_ref().is_none_or(|backing| backing.info().bytes <= end) => return Ok(()),
            Source::Below { at, own: true } => {
                return Ok(self.store.write_zeroes(at + keep, self.geometry.cluster() - keep).await?);
            }
            _ => {}
        }
        let (to, _) = self.allocate(1).await?;
        let at = to << self.geometry.cluster_bits;
        for done in (0..keep).step_by(CHUNK) {
            let buffer = self.store.memory.buffer((keep - done).min(CHUNK as u64) as usize)?;
            self.read_carried(start + done, buffer.pieces()).await?;
            self.store.below.write(at + done, buffer.pieces()).await?;
        }
        self.store.write_zeroes(at + keep, self.geometry.cluster() - keep).await?;
        self.busy.outdate();
        let table = self.own_table(start).await?;
        Ok(self.replace_entry(table, start, at | COPIED).await?)
    }
}
