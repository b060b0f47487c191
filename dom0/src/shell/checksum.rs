//! `crc32`: what a file or a disk holds, in a number that the host can work out as well.

use alloc::format;
use alloc::string::String;

use crc32fast::Hasher;
use dom0_core::block::{SharedDisk, cut};
use embassy_futures::yield_now;

use super::execute::Result;
use crate::block;
use crate::{files, terminal};

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;
/// Where disks are.
const DEVICES: &str = "/dev/";

/// Prints a line for each: CRC-32, length in bytes, name.
pub async fn run(paths: &[String]) -> Result {
    for path in paths {
        let (sum, bytes) = match path.strip_prefix(DEVICES) {
            Some(name) => of_disk(name, path).await?,
            None => of_file(path).await?,
        };
        terminal::print(&format!("{sum:08x} {bytes} {path}\n"));
    }
    Ok(())
}

async fn of_file(path: &str) -> core::result::Result<(u32, u64), String> {
    let tree = files::tree().ok_or("crc32: there are no files: Dom0 was started without an archive")?;
    let bytes = tree.read(path).map_err(|error| format!("crc32: {error}"))?;
    let mut hasher = Hasher::new();
    for chunk in bytes.chunks(CHUNK) {
        hasher.update(chunk);
        yield_now().await;
    }
    Ok((hasher.finalize(), bytes.len() as u64))
}

async fn of_disk(name: &str, path: &str) -> core::result::Result<(u32, u64), String> {
    let disks = block::disks();
    let found = disks.iter().find(|disk| disk.name() == name);
    let disk = found.map(block::PhysicalDisk::disk).ok_or_else(|| match disks.last() {
        None => format!("crc32: there is no disk {path}: the machine has none that Dom0 drives (`lspci` lists the devices)"),
        Some(last) => format!("crc32: there is no disk {path}: the machine has /dev/vda to /dev/{}", last.name()),
    })?;
    sum(&disk).await.map_err(|error| format!("crc32: {path}: {error}"))
}

async fn sum(disk: &SharedDisk) -> core::result::Result<(u32, u64), dom0_core::block::DiskError> {
    let total = disk.info().bytes;
    let buffer = block::memory().buffer(CHUNK)?;
    let mut bytes = alloc::vec![0; 4096];
    let mut hasher = Hasher::new();
    for offset in (0..total).step_by(CHUNK) {
        let now = (total - offset).min(CHUNK as u64);
        let pieces: alloc::vec::Vec<_> = cut(buffer.pieces(), 0, now).collect();
        disk.read(offset, &pieces).await?;
        for at in (0..now as usize).step_by(bytes.len()) {
            let part = &mut bytes[..(now as usize - at).min(4096)];
            buffer.get(at, part);
            hasher.update(part);
        }
        yield_now().await;
    }
    Ok((hasher.finalize(), total))
}
