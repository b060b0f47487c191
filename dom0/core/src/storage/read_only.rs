//! A disk that cannot be written through this, whatever lies below.

use alloc::{boxed::Box, rc::Rc};
use core::future::ready;

use crate::block::{Disk, DiskError, Doing, Info, Piece, Place, SharedDisk, Traffic};

/// The disk below, for reading.
pub struct ReadOnly(pub SharedDisk);

impl Disk for ReadOnly {
    fn info(&self) -> Info {
        Info { read_only: true, discard: None, ..self.0.info() }
    }

    fn place(&self, offset: u64, bytes: u64, write: bool) -> Place {
        if write { Place::Unknown } else { self.0.place(offset, bytes, false) }
    }

    fn straight(&self) -> Option<(u32, u64)> {
        self.0.straight()
    }

    fn traffic(&self) -> Option<Rc<Traffic>> {
        self.0.traffic()
    }

    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a> {
        self.0.read(offset, into)
    }

    fn write<'a>(&'a self, _: u64, _: &'a [Piece]) -> Doing<'a> {
        Box::pin(ready(Err(DiskError::ReadOnly)))
    }

    fn flush(&self) -> Doing<'_> {
        Box::pin(ready(Ok(())))
    }

    fn discard(&self, _: u64, _: u64) -> Doing<'_> {
        Box::pin(ready(Err(DiskError::ReadOnly)))
    }
}
