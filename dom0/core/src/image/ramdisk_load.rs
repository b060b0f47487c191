//! Loading a ramdisk: as it is, or unpacked if it is gzip, as Xen's tools do it; other packings the guest unpacks by itself. Where it begins
//! does not depend on its size, so that it can be placed while its size is still unknown.

use super::error::UnpackError;
use super::memory::{DomainMemory, Step};
use super::packing::Packing;
use super::payload::Payload;
use super::stream::Stream;

/// A ramdisk file on its way into a domain's memory.
pub struct RamdiskLoad<'a> {
    stream: Stream<'a>,
    /// Where the next piece goes, and where the memory for it ends.
    address: u64,
    start: u64,
    end: u64,
    total: Option<u64>,
}

impl<'a> RamdiskLoad<'a> {
    /// Prepares to place the ramdisk in `file` between the pseudo-physical addresses `start` and `end` (exclusive).
    pub fn new(file: &'a [u8], start: u64, end: u64) -> Result<Self, UnpackError> {
        let payload = payload(file);
        let stream = Stream::open(&payload)?;
        Ok(Self { stream, address: start, start, end, total: payload.unpacked_bytes })
    }

    /// The most that loading `file` asks of the heap at a time, in bytes.
    pub fn heap_bytes(file: &[u8]) -> Result<u64, UnpackError> {
        Stream::heap_bytes(&payload(file))
    }

    /// Unpacks and places the next piece; at last tells the ramdisk's size in bytes.
    pub fn step(&mut self, memory: &mut impl DomainMemory) -> Result<Step<u64>, UnpackError> {
        let Some(piece) = self.stream.next()? else {
            return Ok(self.finish());
        };
        let next = self.address.saturating_add(piece.len() as u64);
        if next > self.end {
            return Err(UnpackError::RamdiskTooLarge { available: self.end.saturating_sub(self.start) });
        }
        memory.write(self.address, piece).map_err(UnpackError::Memory)?;
        self.address = next;
        Ok(Step::More { done: next - self.start, total: self.total })
    }

    /// Ramdisks may be several archives in a row, of which the first are packed and the last not.
    fn finish(&mut self) -> Step<u64> {
        let done = self.address - self.start;
        match &self.stream {
            Stream::Gzip(gzip) if !gzip.rest().is_empty() => {
                self.stream = Stream::Bare(gzip.rest());
                Step::More { done, total: None }
            }
            _ => Step::Done(done),
        }
    }
}

fn payload(file: &[u8]) -> Payload<'_> {
    match Packing::of(file) {
        Ok(Some(Packing::Gzip)) => Payload { packing: Packing::Gzip, data: file, unpacked_bytes: None },
        _ => Payload { packing: Packing::Bare, data: file, unpacked_bytes: Some(file.len() as u64) },
    }
}
