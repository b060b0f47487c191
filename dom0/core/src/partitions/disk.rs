//! A part of a disk as a disk.

use alloc::{boxed::Box, rc::Rc};
use core::future::ready;

use crate::block::{Disk, DiskError, Doing, Info, Piece, Place, SharedDisk, Traffic, check_range, length};

/// A contiguous part of the disk below.
pub struct Slice {
    below: SharedDisk,
    start: u64,
    bytes: u64,
}

impl Slice {
    /// The part of `below` that begins at byte `start`; both numbers are multiples of the logical block.
    ///
    /// # Errors
    /// When it does not lie on the disk.
    pub fn new(below: SharedDisk, start: u64, bytes: u64) -> Result<Self, DiskError> {
        check_range(&below.info(), start, bytes)?;
        Ok(Self { below, start, bytes })
    }

    fn begin<'a>(&'a self, offset: u64, bytes: u64, act: impl FnOnce(u64) -> Doing<'a>) -> Doing<'a> {
        match check_range(&self.info(), offset, bytes) {
            Ok(()) => act(self.start + offset),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

impl Disk for Slice {
    fn info(&self) -> Info {
        Info { bytes: self.bytes, ..self.below.info() }
    }

    fn place(&self, offset: u64, bytes: u64, write: bool) -> Place {
        match check_range(&self.info(), offset, bytes) {
            Ok(()) => self.below.place(self.start + offset, bytes, write),
            Err(_) => Place::Unknown,
        }
    }

    fn straight(&self) -> Option<(u32, u64)> {
        self.below.straight().map(|(device, start)| (device, start + self.start))
    }

    fn traffic(&self) -> Option<Rc<Traffic>> {
        self.below.traffic()
    }

    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a> {
        self.begin(offset, length(into), |at| self.below.read(at, into))
    }

    fn write<'a>(&'a self, offset: u64, from: &'a [Piece]) -> Doing<'a> {
        self.begin(offset, length(from), |at| self.below.write(at, from))
    }

    fn flush(&self) -> Doing<'_> {
        self.below.flush()
    }

    fn discard(&self, offset: u64, bytes: u64) -> Doing<'_> {
        self.begin(offset, bytes, |at| self.below.discard(at, bytes))
    }
}
