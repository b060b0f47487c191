//! A regular file as a disk: its blocks where they lie, and zeroes where it has none.

use alloc::{boxed::Box, rc::Rc, vec::Vec};
use core::future::ready;

use super::extents::Extent;
use super::inode::Kind;
use super::{Inode, Result, Volume, VolumeError};
use crate::block::{Disk, DiskError, Doing, Info, Piece, Place, SharedDisk, SharedMemory, Traffic, check_range, cut, length};
use crate::fs::PathError;

/// A file that is open.
pub struct FileDisk {
    below: SharedDisk,
    memory: SharedMemory,
    /// Bytes of a block of the volume.
    block: u64,
    extents: Vec<Extent>,
    bytes: u64,
    read_only: bool,
}

/// Bytes of a request that lie together.
enum Part {
    /// On the disk below, from this byte on.
    At(u64, u64),
    /// Nowhere.
    Hole(u64),
}

impl Volume {
    /// Opens a file. One that shall be written has all of its blocks, written once.
    ///
    /// # Errors
    /// When it is no regular file, is stored in a way that is not offered, or shall be written and cannot.
    pub async fn file(&self, path: &str, inode: &Inode, write: bool) -> Result<Rc<FileDisk>> {
        match inode.kind {
            Kind::Regular => {}
            Kind::Directory => return Err(PathError::IsDirectory(self.shown(path)).into()),
            _ => return Err(PathError::Unreadable(self.shown(path)).into()),
        }
        if let Some(how) = inode.odd() {
            return Err(VolumeError::Stored(self.shown(path), how));
        }
        let map = self.map(inode).await?;
        if write {
            if inode.is_sealed() {
                return Err(VolumeError::Stored(self.shown(path), "with a seal (fs-verity)"));
            }
            if !is_whole(&map.extents, inode.bytes.div_ceil(self.superblock.block)) {
                return Err(VolumeError::NotWritten(self.shown(path)));
            }
            self.check_zones(&map).await?;
        }
        let info = self.below.info();
        // What follows the last byte in its block is zero, and belongs to the file.
        let bytes = inode.bytes.next_multiple_of(info.logical_block.into());
        let (below, memory, block) = (self.below.clone(), self.memory.clone(), self.superblock.block);
        Ok(Rc::new(FileDisk { below, memory, block, extents: map.extents, bytes, read_only: !write || info.read_only }))
    }
}

/// Whether the first `blocks` of a file all hold data.
fn is_whole(extents: &[Extent], blocks: u64) -> bool {
    // Blocks behind the end may be anything.
    let mut within = extents.iter().take_while(|extent| extent.first < blocks);
    let end = within.try_fold(0, |end, extent| (extent.written && extent.first == end).then_some(end + extent.count));
    end.is_some_and(|end| end >= blocks)
}

impl FileDisk {
    /// Where its blocks lie: first byte in the volume, and the one behind the last.
    pub fn places(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.extents.iter().map(|extent| (extent.start * self.block, (extent.start + extent.count) * self.block))
    }

    /// Where the bytes from `offset` on lie, as far as they lie together, and at most `most` of them.
    fn part(&self, offset: u64, most: u64) -> Part {
        let block = offset / self.block;
        let next = self.extents.partition_point(|extent| extent.first <= block);
        let extent = next.checked_sub(1).and_then(|at| self.extents.get(at)).filter(|extent| block - extent.first < extent.count);
        match extent {
            Some(extent) => {
                let within = offset - extent.first * self.block;
                let left = (extent.count * self.block - within).min(most);
                if extent.written { Part::At(extent.start * self.block + within, left) } else { Part::Hole(left) }
            }
            None => {
                let end = self.extents.get(next).map_or(u64::MAX, |extent| extent.first * self.block);
                Part::Hole((end - offset).min(most))
            }
        }
    }

    /// The parts of a request, in order: offset within the request, and where it lies.
    fn parts(&self, offset: u64, bytes: u64) -> impl Iterator<Item = (u64, Part)> + '_ {
        let mut done = 0;
        core::iter::from_fn(move || {
            let left = bytes.checked_sub(done).filter(|left| *left != 0)?;
            let part = self.part(offset + done, left);
            let at = done;
            let (Part::At(_, bytes) | Part::Hole(bytes)) = part;
            done += bytes;
            Some((at, part))
        })
    }

    async fn do_read(&self, offset: u64, into: &[Piece]) -> core::result::Result<(), DiskError> {
        for (at, part) in self.parts(offset, length(into)) {
            match part {
                Part::At(place, bytes) if bytes == length(into) => self.below.read(place, into).await?,
                Part::At(place, bytes) => self.below.read(place, &cut(into, at, bytes).collect::<Vec<_>>()).await?,
                Part::Hole(bytes) => self.memory.zero(&cut(into, at, bytes).collect::<Vec<_>>()),
            }
        }
        Ok(())
    }

    async fn do_write(&self, offset: u64, from: &[Piece]) -> core::result::Result<(), DiskError> {
        for (at, part) in self.parts(offset, length(from)) {
            // A file that may be written has no holes.
            let Part::At(place, bytes) = part else { return Err(DiskError::NoSpace) };
            if bytes == length(from) {
                self.below.write(place, from).await?;
            } else {
                self.below.write(place, &cut(from, at, bytes).collect::<Vec<_>>()).await?;
            }
        }
        Ok(())
    }

    async fn do_discard(&self, offset: u64, bytes: u64) -> core::result::Result<(), DiskError> {
        for (_, part) in self.parts(offset, bytes) {
            if let Part::At(place, bytes) = part {
                self.below.discard(place, bytes).await?;
            }
        }
        Ok(())
    }

    fn check(&self, offset: u64, bytes: u64, write: bool) -> core::result::Result<(), DiskError> {
        check_range(&self.info(), offset, bytes)?;
        if write && self.read_only { Err(DiskError::ReadOnly) } else { Ok(()) }
    }
}

impl Disk for FileDisk {
    fn info(&self) -> Info {
        Info { bytes: self.bytes, read_only: self.read_only, ..self.below.info() }
    }

    fn place(&self, offset: u64, bytes: u64, write: bool) -> Place {
        if bytes == 0 || self.check(offset, bytes, write).is_err() {
            return Place::Unknown;
        }
        match self.part(offset, bytes) {
            Part::At(place, bytes) => self.below.place(place, bytes, write),
            Part::Hole(bytes) if !write => Place::Zeroes { bytes },
            Part::Hole(_) => Place::Unknown,
        }
    }

    fn traffic(&self) -> Option<Rc<Traffic>> {
        self.below.traffic()
    }

    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a> {
        match self.check(offset, length(into), false) {
            Ok(()) => Box::pin(self.do_read(offset, into)),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn write<'a>(&'a self, offset: u64, from: &'a [Piece]) -> Doing<'a> {
        match self.check(offset, length(from), true) {
            Ok(()) => Box::pin(self.do_write(offset, from)),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn flush(&self) -> Doing<'_> {
        self.below.flush()
    }

    fn discard(&self, offset: u64, bytes: u64) -> Doing<'_> {
        match self.check(offset, bytes, true) {
            Ok(()) => Box::pin(self.do_discard(offset, bytes)),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}
