//! `crc32`: what a file or a disk holds, in a number that the host can work out as well.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crc32fast::Hasher;
use dom0_core::block::{DiskError, SharedDisk, cut};
use embassy_futures::yield_now;

use super::execute::Result;
use crate::{block, storage, terminal};

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// Prints a line for each: CRC-32, length in bytes, name.
pub async fn run(paths: &[String]) -> Result {
    for path in paths {
        let (sum, bytes) = of(path).await.map_err(|error| format!("crc32: {error}"))?;
        terminal::print(&format!("{sum:08x} {bytes} {path}\n"));
    }
    Ok(())
}

async fn of(path: &str) -> core::result::Result<(u32, u64), String> {
    if storage::is_archived(path) {
        return of_bytes(&storage::read(path).await?).await;
    }
    let (disk, length) = storage::look(path).await?;
    of_disk(&disk, length).await.map_err(|error| format!("{path}: {error}"))
}

async fn of_bytes(bytes: &[u8]) -> core::result::Result<(u32, u64), String> {
    let mut hasher = Hasher::new();
    for chunk in bytes.chunks(CHUNK) {
        hasher.update(chunk);
        yield_now().await;
    }
    Ok((hasher.finalize(), bytes.len() as u64))
}

/// The first `length` bytes of a disk.
async fn of_disk(disk: &SharedDisk, length: u64) -> core::result::Result<(u32, u64), DiskError> {
    let block = u64::from(disk.info().logical_block);
    let buffer = block::memory().buffer(CHUNK)?;
    let mut bytes = alloc::vec![0; 4096];
    let mut hasher = Hasher::new();
    for offset in (0..length).step_by(CHUNK) {
        let now = (length - offset).min(CHUNK as u64);
        let pieces: Vec<_> = cut(buffer.pieces(), 0, now.next_multiple_of(block)).collect();
        disk.read(offset, &pieces).await?;
        for at in (0..now as usize).step_by(bytes.len()) {
            let part = &mut bytes[..(now as usize - at).min(4096)];
            buffer.get(at, part);
            hasher.update(part);
        }
        yield_now().await;
    }
    Ok((hasher.finalize(), length))
}
