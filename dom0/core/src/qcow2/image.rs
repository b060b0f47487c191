//! An open image, as a disk.

use alloc::boxed::Box;
use alloc::rc::Rc;

use super::error::ImageError;
use super::header::Header;
use super::inner::{Access, Inner};
use crate::block::{Disk, DiskError, Doing, Info, Piece, Place, SharedDisk, SharedMemory, Traffic, check_range, length};

/// An open image.
///
/// Whoever writes flushes before it drops the image: new clusters become part of it with a flush, as a loss of power would show.
pub struct Image {
    pub(super) inner: Rc<Inner>,
}

impl Image {
    /// Opens the image that lies on `below`, over `backing` if its header names a backing file.
    ///
    /// # Errors
    /// As for [`Header::read`]; when the header names a backing file and none is given; and, for writing, when the image is marked corrupt or
    /// what lies below is read-only.
    pub async fn open(
        below: SharedDisk,
        memory: SharedMemory,
        backing: Option<SharedDisk>,
        access: Access,
    ) -> Result<Rc<Self>, ImageError> {
        let inner = Inner::open(below, memory, backing, access).await?;
        Ok(Rc::new(Self { inner }))
    }

    /// What the image says about itself now.
    pub fn header(&self) -> Header {
        self.inner.header.borrow().clone()
    }

    /// Whoever opened it lets go of it: what operators' commands have not begun by now is refused, as somebody else may open it anew.
    pub fn shut(&self) {
        self.inner.shut.set(true);
    }
}

impl Image {
    fn check_write(&self, offset: u64, bytes: u64) -> Result<(), DiskError> {
        if self.inner.access == Access::ReadOnly {
            return Err(DiskError::ReadOnly);
        }
        check_range(&self.info(), offset, bytes)
    }
}

impl Disk for Image {
    fn info(&self) -> Info {
        let below = self.inner.store.below.info();
        let logical_block = self.inner.block as u32;
        let read_only = self.inner.access == Access::ReadOnly;
        Info { bytes: self.inner.bytes(), logical_block, physical_block: below.physical_block.max(logical_block), read_only, discard: None }
    }

    fn place(&self, offset: u64, bytes: u64, write: bool) -> Place {
        self.inner.place(offset, bytes, write)
    }

    fn traffic(&self) -> Option<Rc<Traffic>> {
        Some(self.inner.traffic.clone())
    }

    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a> {
        Box::pin(async move {
            check_range(&self.info(), offset, length(into))?;
            self.inner.read(offset, into).await
        })
    }

    fn write<'a>(&'a self, offset: u64, from: &'a [Piece]) -> Doing<'a> {
        Box::pin(async move {
            self.check_write(offset, length(from))?;
            self.inner.write(offset, from).await
        })
    }

    fn flush(&self) -> Doing<'_> {
        if self.inner.access == Access::ReadOnly || !self.inner.uncommitted() {
            return self.inner.store.below.flush();
        }
        Box::pin(self.inner.carried(|inner| async move { inner.commit().await }))
    }

    fn discard(&self, offset: u64, bytes: u64) -> Doing<'_> {
        Box::pin(async move {
            self.check_write(offset, bytes)?;
            self.inner.discard(offset, bytes).await
        })
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // It would keep the image alive.
        self.inner.carrier.abandon();
    }
}
