//! The bytes of an image's metadata on what lies below, read and written through buffers.

use alloc::vec;
use alloc::vec::Vec;

use crate::block::{Disk, DiskError, Memory, Piece, SECTOR, SharedDisk, SharedMemory, cut, length};

/// The most that one request of ours moves, in bytes.
pub(super) const CHUNK: usize = 64 << 10;

/// What an image lies on, and memory to reach it.
pub(super) struct Store {
    pub below: SharedDisk,
    pub memory: SharedMemory,
}

impl Store {
    /// The unit of every request below, in bytes.
    pub fn block(&self) -> u64 {
        block(&*self.below)
    }

    /// Bytes from anywhere. What lies beyond the end reads as zeroes, because the last cluster of an image may be cut short.
    pub async fn read(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, DiskError> {
        Self::read_from(&*self.below, &*self.memory, offset, bytes).await
    }

    /// [`Store::read`], before there is a store.
    pub async fn read_from(below: &dyn Disk, memory: &dyn Memory, offset: u64, bytes: usize) -> Result<Vec<u8>, DiskError> {
        let mut result = Vec::new();
        result.try_reserve_exact(bytes).map_err(|_| DiskError::NoMemory)?;
        result.resize(bytes, 0);
        let block = block(below);
        let end = offset.checked_add(bytes as u64).ok_or(DiskError::OutOfRange)?.min(below.info().bytes);
        let mut at = offset;
        while at < end {
            let first = at - at % block;
            let last = end.min(first + CHUNK as u64).next_multiple_of(block).min(below.info().bytes);
            let buffer = memory.buffer((last - first) as usize)?;
            below.read(first, buffer.pieces()).await?;
            let stop = last.min(end);
            let into = result.get_mut((at - offset) as usize..(stop - offset) as usize).ok_or(DiskError::OutOfRange)?;
            buffer.get((at - first) as usize, into);
            at = stop;
        }
        Ok(result)
    }

    /// Writes whole blocks.
    pub async fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.room(offset, bytes.len() as u64)?;
        for (chunk, at) in bytes.chunks(CHUNK).zip((offset..).step_by(CHUNK)) {
            let buffer = self.memory.buffer(chunk.len())?;
            buffer.set(0, chunk);
            self.below.write(at, buffer.pieces()).await?;
        }
        Ok(())
    }

    /// Writes bytes, and zeroes behind them until `whole` bytes are full.
    pub async fn write_padded(&self, offset: u64, bytes: &[u8], whole: u64) -> Result<(), DiskError> {
        let mut padded = zeroes(whole as usize)?;
        padded.get_mut(..bytes.len()).ok_or(DiskError::OutOfRange)?.copy_from_slice(bytes);
        self.write(offset, &padded).await
    }

    /// Writes zeroes over whole blocks.
    pub async fn write_zeroes(&self, offset: u64, bytes: u64) -> Result<(), DiskError> {
        self.room(offset, bytes)?;
        let buffer = self.memory.buffer(CHUNK.min(bytes as usize).max(SECTOR as usize))?;
        let mut done = 0;
        while done < bytes {
            let pieces: Vec<Piece> = cut(buffer.pieces(), 0, (bytes - done).min(CHUNK as u64)).collect();
            self.below.write(offset + done, &pieces).await?;
            done += length(&pieces);
        }
        Ok(())
    }

    /// Reads into memory that came with a request; zeroes beyond the end.
    pub async fn read_pieces(&self, offset: u64, into: &[Piece]) -> Result<(), DiskError> {
        read_to_end(&*self.below, &*self.memory, offset, into).await
    }

    fn room(&self, offset: u64, bytes: u64) -> Result<(), DiskError> {
        match offset.checked_add(bytes) {
            Some(end) if end <= self.below.info().bytes => Ok(()),
            _ => Err(DiskError::NoSpace),
        }
    }
}

/// Reads from a disk, and zeroes from its end on.
pub(super) async fn read_to_end(disk: &dyn Disk, memory: &dyn Memory, offset: u64, into: &[Piece]) -> Result<(), DiskError> {
    let there = disk.info().bytes.saturating_sub(offset).min(length(into));
    if there == length(into) {
        return disk.read(offset, into).await;
    }
    let inside: Vec<Piece> = cut(into, 0, there).collect();
    if there != 0 {
        disk.read(offset, &inside).await?;
    }
    let outside: Vec<Piece> = cut(into, there, u64::MAX).collect();
    memory.zero(&outside);
    Ok(())
}

fn block(disk: &dyn Disk) -> u64 {
    u64::from(disk.info().logical_block).max(SECTOR)
}

/// A table once more, with zeroes behind it until it has so many entries. Tables are as large as the image says, so there may be no memory.
pub(super) fn copied(table: &[u64], entries: usize) -> Result<Vec<u64>, DiskError> {
    let mut copy = vec![];
    copy.try_reserve_exact(entries.max(table.len())).map_err(|_| DiskError::NoMemory)?;
    copy.extend_from_slice(table);
    copy.resize(entries.max(table.len()), 0);
    Ok(copy)
}

/// So many zero bytes of ordinary memory.
pub(super) fn zeroes(bytes: usize) -> Result<Vec<u8>, DiskError> {
    let mut result = vec![];
    result.try_reserve_exact(bytes).map_err(|_| DiskError::NoMemory)?;
    result.resize(bytes, 0);
    Ok(result)
}
