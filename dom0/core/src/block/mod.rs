//! Block devices as Dom0 sees them: one trait for whatever holds a disk's bytes, so that a whole disk, a partition of it, a file on it and
//! an image in that file are laid over each other, and a remote disk can join them.
//!
//! Two ways lead down. The slow way is a method that takes as long as it takes and may read metadata or allocate. The quick way is
//! [`Disk::place`]: where do these bytes lie at the very bottom? Most requests of a running guest go the quick way, at once and
//! without an allocation, from the ring to the device's queue; the payload is never touched, only its machine addresses travel.
//!
//! Offsets and lengths are bytes, and multiples of [`SECTOR`] everywhere. Everything runs on one vCPU: futures need not be `Send`.

mod bytes;
mod error;
pub mod fake;
pub mod quick;
mod traffic;
mod whole;

use alloc::{boxed::Box, rc::Rc};
use core::pin::Pin;

pub use bytes::read_bytes;
pub use error::DiskError;
pub use traffic::{Lane, Moment, Traffic};
pub use whole::WholeDisk;

/// The unit of offsets and lengths, in bytes.
pub const SECTOR: u64 = 512;

/// Memory that a device can read or write: contiguous for the machine. Which memory that is, is nobody's business on the way down: only the
/// device and, for a disk that is no device, whoever copies the bytes look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Machine address of its first byte.
    pub address: u64,
    /// Virtual address of its first byte, where Dom0 has it mapped.
    pub virt: u64,
    /// Its length in bytes.
    pub bytes: u32,
}

impl Piece {
    /// The part from byte `from` to byte `to`, as far as the piece reaches.
    #[must_use]
    pub fn part(&self, from: u64, to: u64) -> Self {
        let to = to.min(self.bytes.into());
        let from = from.min(to);
        Self { address: self.address + from, virt: self.virt + from, bytes: (to - from) as u32 }
    }
}

/// The pieces of bytes `from` to `from + bytes` of what `pieces` make up.
pub fn cut(pieces: &[Piece], from: u64, bytes: u64) -> impl Iterator<Item = Piece> {
    let mut start = 0;
    let parts = pieces.iter().map(move |piece| {
        let begin = start;
        start += u64::from(piece.bytes);
        piece.part(from.saturating_sub(begin), from.saturating_add(bytes).saturating_sub(begin))
    });
    parts.filter(|part| part.bytes != 0)
}

/// The length of several pieces, in bytes.
pub fn length(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| u64::from(piece.bytes)).sum()
}

/// What a disk is. All numbers in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// How much it holds.
    pub bytes: u64,
    /// The smallest unit that it reads and writes: a power of two, [`SECTOR`] at least.
    pub logical_block: u32,
    /// The unit that it writes without reading: a multiple of `logical_block`.
    pub physical_block: u32,
    /// Writes fail.
    pub read_only: bool,
    /// Whether [`Disk::discard`] does something; the granularity.
    pub discard: Option<u32>,
}

/// Where bytes lie at the very bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a physical disk, from this byte on; at least `bytes` of them without a gap.
    At {
        /// The physical disk's number, which whoever opened it gave out.
        device: u32,
        /// First byte there.
        offset: u64,
        /// How many bytes lie there contiguously; at most as many as were asked for.
        bytes: u64,
    },
    /// Nowhere: they read as zeroes. (Never the answer for a write.)
    Zeroes {
        /// How many, at most as many as were asked for.
        bytes: u64,
    },
    /// It takes work to tell: go the slow way.
    Unknown,
}

/// What a disk is doing.
pub type Doing<'a> = Pin<Box<dyn Future<Output = Result<(), DiskError>> + 'a>>;

/// Whatever holds a disk's bytes.
///
/// Requests may run at the same time and end in any order; who needs an order waits. A write that has ended is seen by every later read, and
/// survives a loss of power once a flush that was begun after it has ended. A request out of range is an error and does nothing. Of a
/// write that failed any part may have been done.
pub trait Disk {
    /// What it is. It may grow while it is used.
    fn info(&self) -> Info;

    /// The quick way: where bytes lie now, for reading or (`write`) for overwriting in place. The answer holds until the next request of any
    /// kind is begun by the slow way; or, for who has entered [`Disk::traffic`] before asking, until it leaves.
    fn place(&self, offset: u64, bytes: u64, write: bool) -> Place;

    /// The quick way without asking for each place: the physical disk on which all of it lies in one piece for as long as it is open, and
    /// its first byte there. None where that may change; then there is [`Disk::place`].
    fn straight(&self) -> Option<(u32, u64)> {
        None
    }

    /// What whoever goes the quick way enters before it asks for a place, and leaves when the device has done the request (not before, even if
    /// whoever wanted it is gone). None where places never change.
    fn traffic(&self) -> Option<Rc<Traffic>> {
        None
    }

    /// Reads; `into` is as long as what is read.
    fn read<'a>(&'a self, offset: u64, into: &'a [Piece]) -> Doing<'a>;

    /// Writes.
    fn write<'a>(&'a self, offset: u64, from: &'a [Piece]) -> Doing<'a>;

    /// Makes durable every write that has ended.
    fn flush(&self) -> Doing<'_>;

    /// Forgets contents: what is read there afterwards is zeroes or what was there before. Does nothing where `info().discard` is none.
    fn discard(&self, offset: u64, bytes: u64) -> Doing<'_>;
}

/// A disk that several layers or users share.
pub type SharedDisk = Rc<dyn Disk>;

/// Memory of our own that a device can reach, for metadata and for copies. Zero when it is fresh. Its bytes are copied in and out, never
/// borrowed: a device may be writing them.
pub trait Buffer {
    /// Copies bytes out, from `at` on.
    ///
    /// # Panics
    /// If they are not all in the buffer.
    fn get(&self, at: usize, into: &mut [u8]);
    /// Copies bytes in, from `at` on.
    ///
    /// # Panics
    /// If there is no room for them.
    fn set(&self, at: usize, from: &[u8]);
    /// Where it lies for devices; its whole length.
    fn pieces(&self) -> &[Piece];
}

/// Gives out buffers.
pub trait Memory {
    /// A zeroed buffer of so many bytes, a multiple of [`SECTOR`].
    ///
    /// # Errors
    /// [`DiskError::NoMemory`].
    fn buffer(&self, bytes: usize) -> Result<Box<dyn Buffer>, DiskError>;

    /// Copies bytes into memory that came with a request, by way of [`Piece::virt`]: for what no device delivers, such as unpacked clusters.
    ///
    /// # Panics
    /// If the pieces are shorter than the bytes.
    fn put(&self, into: &[Piece], from: &[u8]);

    /// Fills memory that came with a request with zeroes: for what lies nowhere.
    fn zero(&self, into: &[Piece]) {
        const ZEROES: [u8; 4096] = [0; 4096];
        for piece in into {
            for from in (0..u64::from(piece.bytes)).step_by(ZEROES.len()) {
                let part = piece.part(from, from + ZEROES.len() as u64);
                self.put(&[part], &ZEROES[..part.bytes as usize]);
            }
        }
    }
}

/// Whoever gives out buffers, shared.
pub type SharedMemory = Rc<dyn Memory>;

/// Whether a request lies on the disk and on sector boundaries.
///
/// # Errors
/// [`DiskError::OutOfRange`] or [`DiskError::Misaligned`].
pub fn check_range(info: &Info, offset: u64, bytes: u64) -> Result<(), DiskError> {
    let block = u64::from(info.logical_block).max(SECTOR);
    // A power of two: this is asked of every request, and division is slow.
    if (offset | bytes) & (block - 1) != 0 {
        return Err(DiskError::Misaligned);
    }
    match offset.checked_add(bytes) {
        Some(end) if end <= info.bytes => Ok(()),
        _ => Err(DiskError::OutOfRange),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn cutting_keeps_what_lies_inside() {
        let piece = |address, bytes| Piece { address, virt: address + 1, bytes };
        let pieces = [piece(0x1000, 0x1000), piece(0x9000, 0x200), piece(0x5000, 0x1000)];
        let cut = |from, bytes| cut(&pieces, from, bytes).collect::<Vec<_>>();
        assert_eq!(cut(0, 0x2200), pieces);
        assert_eq!(cut(0xe00, 0x600), [piece(0x1e00, 0x200), piece(0x9000, 0x200), piece(0x5000, 0x200)]);
        assert_eq!(cut(0x1000, 0x200), [piece(0x9000, 0x200)]);
        assert_eq!(cut(0x2200, 0x200), []);
        assert_eq!(cut(0x2000, u64::MAX), [piece(0x5e00, 0x200)]);
    }
}
