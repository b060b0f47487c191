//! A disk as a file system crate wants it: bytes at any place. Pieces of 4 KiB are read whole, and the last one is kept, since file systems read their
//! tables in small bites.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use ext4_view::Ext4Read;
use pv_guest_sdk::block::{Disk, Error};
use pv_guest_sdk::task::block_on;

/// No block is larger.
const PIECE: u64 = 4096;

/// A disk with a piece of it at hand.
pub struct Source {
    disk: Disk,
    at: u64,
    piece: Vec<u8>,
}

impl Source {
    /// Nothing is at hand yet.
    pub fn new(disk: Disk) -> Source {
        Source { disk, at: 0, piece: Vec::new() }
    }

    /// Gets the bytes from `start` to `end`, or more on either side.
    fn load(&mut self, start: u64, end: u64) -> Result<(), Error> {
        if start >= self.at && end <= self.at + self.piece.len() as u64 {
            return Ok(());
        }
        let size = self.disk.info().sectors * 512;
        let (first, last) = (start / PIECE * PIECE, end.checked_next_multiple_of(PIECE).ok_or(Error::Range)?.min(size));
        if end > size {
            return Err(Error::Range);
        }
        (self.at, self.piece) = (0, Vec::new());
        let mut piece = vec![0; (last - first) as usize];
        block_on(self.disk.read(first / 512, &mut piece))?;
        (self.at, self.piece) = (first, piece);
        Ok(())
    }
}

impl Ext4Read for Source {
    fn read(&mut self, start: u64, to: &mut [u8]) -> Result<(), Box<dyn core::error::Error + Send + Sync>> {
        let end = start.checked_add(to.len() as u64).ok_or(Error::Range)?;
        if !to.is_empty() {
            self.load(start, end)?;
            to.copy_from_slice(&self.piece[(start - self.at) as usize..(end - self.at) as usize]);
        }
        Ok(())
    }
}
